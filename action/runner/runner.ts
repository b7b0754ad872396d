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
  fetch: import('../../port/client/port-client.ts').Fetch
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

/** `./` where the folder is not inside: the runner names no path of an action that a workflow uses by its path. */
function pathWithin(workspace: string | undefined, folder: string): string {
  const path = workspace ? relative(workspace, folder).replaceAll('\\', '/') : ''
  return path.startsWith('..') || isAbsolute(path) ? './' : `./${path}`
}
