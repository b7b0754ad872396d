import { dirname, isAbsolute, relative } from 'node:path'

/** What the action uses of `@actions/core`. */
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

/** What the action needs of the machine it runs on; tests and entries give it. */
export interface Runner {
  core: Core
  env: Record<string, string | undefined>
  fetch: import('../../port/client/client.ts').Fetch
  /** ms epoch */
  clock: () => number
  sleep: (ms: number) => Promise<unknown>
}

/** The workflow run and job that this is, from the runner's variables. */
export interface Workflow {
  /** `owner/name` */
  repository: string
  runId: string
  attempt: string
  job: string
  event: string
  eventPath: string
  /** Of this very attempt. */
  url: string
  apiUrl: string
  runnerName: string
  tempFolder: string
  /** What this action's step says in `uses`: `owner/name@ref`, or `./path` in the repository itself. */
  action: string
}

/**
 * @param script the entry that runs: `action/dist/main/index.js`
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

/** `./` if the folder is outside: the runner doesn't provide the path of an action that a workflow uses by path. */
function pathWithin(workspace: string | undefined, folder: string): string {
  const path = workspace ? relative(workspace, folder).replaceAll('\\', '/') : ''
  return path.startsWith('..') || isAbsolute(path) ? './' : `./${path}`
}

/**
 * Whole ms epoch at this process's start and the time since: it advances evenly even if the machine's clock
 * is set, as after a machine has woken up.
 */
export const clock = (): number => Math.round(performance.timeOrigin + performance.now())

/** The headings of docs/errors.md. */
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
 * The end of a message that a user has to act on: where to read more. The page is that of the release in use;
 * if the action is used by path, it is in the same repository. On an Enterprise Server the runner does not show
 * whether it found the action there or on github.com (GitHub Connect); a copy made by
 * actions-sync has the same name.
 */
export function help(env: Runner['env'], topic: Topic): string {
  const { GITHUB_ACTION_REPOSITORY: repository, GITHUB_ACTION_REF: ref } = env
  const page = `${PAGE}#${topic}`
  return ` See ${repository ? `https://github.com/${repository}/blob/${ref || 'main'}/${page}` : page}`
}

/** Whether a message has such an end already. */
export const isExplained = (message: string): boolean => message.includes(`${PAGE}#`)

/** Something wrong in a file that steps write to. */
export interface Mistake {
  /** The number of the line; null if it is of the file as a whole. */
  line: number | null
  /** Without its full stop. */
  sentence: string
  /** What is wrong there. */
  value?: string
}

const LONGEST = 60

/**
 * `Line 3 of $PORT_RUN: link must be a URL: "pull/7".`
 *
 * @param redact goes over the value before it is cut: half a secret can't be found
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
