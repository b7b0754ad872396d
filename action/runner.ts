/** What the action uses of `@actions/core`. */
export type Core = Pick<
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
  fetch: import('../port/client.ts').Fetch
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
  /** `owner/name@ref` of this action; null where it is used by path. */
  action: string | null
}

/** @see https://docs.github.com/actions/reference/workflows-and-actions/variables */
export function readWorkflow(env: Runner['env']): Workflow {
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
      : null,
  }
}
