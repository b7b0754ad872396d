import { dirname, isAbsolute, relative } from 'node:path'

/** The functions of `@actions/core` that the action uses. */
type Core = Pick<
  typeof import('@actions/core'),
  | 'getInput'
  | 'getState'
  | 'saveState'
  | 'setOutput'
  | 'setSecret'
  | 'setFailed'
  | 'exportVariable'
  | 'info'
  | 'notice'
  | 'warning'
>

/** The environment that the action needs. Tests and entry points provide it. */
export interface Runner {
  core: Core
  env: Record<string, string | undefined>
  fetch: import('../../port/client/client.ts').Fetch
  /** ms since the epoch */
  clock: () => number
  sleep: (ms: number) => Promise<unknown>
}

/** This workflow run and job, read from the runner's environment variables. */
export interface Workflow {
  /** `owner/name` */
  repository: string
  runId: string
  attempt: string
  job: string
  event: string
  eventPath: string
  /** The link to this attempt. */
  url: string
  apiUrl: string
  runnerName: string
  tempFolder: string
  /** The `uses` value of this action's step: `owner/name@ref`, or `./path` within the repository. */
  action: string
}

/**
 * @param script path of the running entry point: `action/dist/main/index.js`
 * @see https://docs.github.com/actions/reference/workflows-and-actions/variables
 */
export function readWorkflow(env: Runner['env'], script = process.argv[1]!): Workflow {
  const get = (name: string) => {
    const value = env[name]
    if (!value) throw new Error(`${name} is not set: this runs as an action of a GitHub workflow.`)
    return value
  }
  const repository = get('GITHUB_REPOSITORY')
  const runId = get('GITHUB_RUN_ID')
  const attempt = get('GITHUB_RUN_ATTEMPT')
  return {
    repository,
    runId,
    attempt,
    job: env.GITHUB_JOB ?? '',
    event: get('GITHUB_EVENT_NAME'),
    eventPath: get('GITHUB_EVENT_PATH'),
    url: `${get('GITHUB_SERVER_URL')}/${repository}/actions/runs/${runId}/attempts/${attempt}`,
    apiUrl: get('GITHUB_API_URL'),
    runnerName: env.RUNNER_NAME ?? '',
    tempFolder: get('RUNNER_TEMP'),
    action: env.GITHUB_ACTION_REPOSITORY
      ? `${env.GITHUB_ACTION_REPOSITORY}@${env.GITHUB_ACTION_REF ?? ''}`
      : pathWithin(env.GITHUB_WORKSPACE, dirname(dirname(dirname(dirname(script))))),
  }
}

/** `./` if the folder is outside the workspace, because the runner doesn't provide the path of a local action. */
function pathWithin(workspace: string | undefined, folder: string): string {
  const path = workspace ? relative(workspace, folder).replaceAll('\\', '/') : ''
  return path.startsWith('..') || isAbsolute(path) ? './' : `./${path}`
}

/**
 * The time in whole ms since the epoch, as the start time plus the elapsed time. It advances evenly even if the
 * system clock is changed, for example after a machine wakes up.
 */
export const clock = (): number => Math.round(performance.timeOrigin + performance.now())

/** The headings in docs/errors.md. */
export type Topic =
  | 'inputs'
  | 'runner'
  | 'credentials'
  | 'payload'
  | 'large-payloads'
  | 'secret-inputs'
  | 'outputs'
  | 'duplicates'
  | 'matrix'
  | 'first-step'
  | 'steps'
  | 'port-log'
  | 'port-run'
  | 'entities'
  | 'port'

const PAGE = 'docs/errors.md'

/**
 * The link at the end of a message that a user has to act on. It points to the documentation of the release in use,
 * which is in the same repository if the action is used by path. On Enterprise Server, the runner doesn't show whether
 * the action came from that server or from github.com (GitHub Connect), because a copy made by actions-sync has the
 * same name.
 */
export function help(env: Runner['env'], topic: Topic): string {
  const { GITHUB_ACTION_REPOSITORY: repository, GITHUB_ACTION_REF: ref } = env
  const page = `${PAGE}#${topic}`
  return ` See ${repository ? `https://github.com/${repository}/blob/${ref || 'main'}/${page}` : page}`
}

/** Whether a message already ends with a link. */
export const isExplained = (message: string): boolean => message.includes(`${PAGE}#`)

/** An error in a file that steps write to. */
export interface Mistake {
  /** The line number; null if the error concerns the whole file. */
  line: number | null
  /** The message, without its full stop. */
  sentence: string
  /** The invalid value. */
  value?: string
}

const LONGEST = 60

/**
 * `Line 3 of $PORT_RUN: link must be a URL: "pull/7".`
 *
 * @param redact applied before the value is cut, because a partial secret can't be recognized
 */
export function describeMistake(
  { line, sentence, value }: Mistake,
  file: string,
  redact: (text: string) => string,
): string {
  const place = line === null ? file : `Line ${line} of ${file}`
  const end = value === undefined ? '' : `: ${JSON.stringify(shorten(redact(value)))}`
  return `${place}: ${redact(sentence)}${end}.`
}

const shorten = (text: string) => (text.length > LONGEST ? `${text.slice(0, LONGEST).toWellFormed()}…` : text)
