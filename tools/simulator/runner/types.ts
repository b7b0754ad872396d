import type { GitHubApi } from '../github/types.ts'

export type StepResult = 'success' | 'failure' | 'cancelled' | 'skipped'

export type Annotation = {
  level: 'error' | 'warning' | 'notice'
  message: string
  /** `title`, `file`, `line`, … as the command gave them. */
  properties: Record<string, string>
}

export type SimulatedStep = {
  /** As GitHub's pages show it: "Run ./deploy.sh", "Post Run org/port-webhook-action@v1". */
  name: string
  number: number
  kind: 'setup' | 'pre' | 'main' | 'run' | 'composite' | 'post' | 'complete'
  /** The author's id. */
  id: string | null
  status: 'queued' | 'in_progress' | 'completed'
  outcome: StepResult | null
  /** The outcome, after `continue-on-error`. */
  conclusion: StepResult | null
  exitCode: number | null
  /** As the process printed it, unmasked. */
  stdout: string
  stderr: string
  /** What GitHub's log would show: commands carried out, masks applied. */
  log: string
  outputs: Record<string, string>
  state: Record<string, string>
  /** The values that the step added through `GITHUB_ENV` and `GITHUB_PATH`. */
  env: Record<string, string>
  path: string[]
  /** Markdown appended to `GITHUB_STEP_SUMMARY`. */
  summary: string
  /** At most ten of each level, as GitHub keeps them. */
  annotations: Annotation[]
  startedAt: string | null
  completedAt: string | null
  durationMs: number
  /** The steps inside a composite action. */
  steps: SimulatedStep[]
}

export type SimulatedJob = {
  /** The id in the workflow's file; `databaseId` is GitHub's, equal to `job.check_run_id`. */
  id: string
  databaseId: number
  /** With its matrix leg: "build (20, linux)". */
  name: string
  matrix: Record<string, unknown> | null
  status: 'queued' | 'in_progress' | 'completed'
  conclusion: StepResult | null
  /** `needs.<id>.result`: the conclusion, after the job's `continue-on-error`. */
  result: StepResult | null
  outputs: Record<string, string>
  steps: SimulatedStep[]
  startedAt: string | null
  completedAt: string | null
  /** Processes that remained when the job was complete and that the runner killed. */
  orphans: { pid: number; command: string }[]
}

export type SimulatedRun = {
  runId: number
  attempt: number
  /** The evaluated `run-name`, or GitHub's default. */
  title: string
  conclusion: 'success' | 'failure' | 'cancelled' | 'skipped'
  jobs: SimulatedJob[]
  /** The options for running the workflow again. */
  options: RunOptions
}

/** The part of the fake GitHub on which the simulator shows the run and its jobs. */
export type GitHubForSimulator = Pick<
  GitHubApi,
  'url' | 'serverUrl' | 'token' | 'runs' | 'createRun' | 'setRun' | 'setJobs' | 'setJobLog' | 'setAnnotations'
>

export type RunOptions = {
  /** The workflow: a file, or its text. */
  file?: string
  yaml?: string
  /**
   * What triggered it. For `repository_dispatch` the payload is the body of the dispatch
   * (`{event_type, client_payload}`); for other events the fields of the webhook.
   */
  event: { name: string; payload: Record<string, unknown> }
  repository: string
  repositoryId?: number
  github?: GitHubForSimulator
  secrets?: Record<string, string>
  vars?: Record<string, string>
  /** The machine's own environment; only PATH, HOME, and TMPDIR are passed from the caller. */
  env?: Record<string, string>
  runId?: number
  attempt?: number
  runNumber?: number
  actor?: string
  sha?: string
  /** Value of `github.token`; default: the fake GitHub's token. */
  token?: string
  serverUrl?: string
  apiUrl?: string
  /** Where OIDC tokens are minted; passed to jobs with `permissions: id-token: write`. */
  oidc?: { url: string; requestToken: string }
  /** More actions: value of `uses:` (`*` is a wildcard) → folder. */
  actions?: Record<string, string>
  /** The base directory for `uses: ./…`; default: this project. */
  repositoryRoot?: string
  /** The jobs' working directory; default: an empty one for each job, removed at the end. */
  workspace?: string
  /** false: `job.check_run_id` is absent, as on Enterprise Server. */
  checkRunId?: boolean
  /** Name of the runner; default "GitHub Actions 1". */
  runnerName?: string
  /**
   * Called with each optional item of a job that is omitted, such as "environment"; without this function, the
   * simulator refuses it.
   */
  onLeftOut?: (what: string) => void
  /** Called when a step starts and when it completes. */
  onStep?: (info: { job: SimulatedJob; step: SimulatedStep }) => void
  /** Cancels the run, as GitHub's button does. */
  signal?: AbortSignal
  /** Cancels the run when the step with this name prints its first line. */
  cancelAt?: string
  /** The time between SIGINT and SIGTERM for a canceled step (ms); 7500 on the runner. */
  cancelGraceMs?: number
  /** The maximum time for everything after a cancel (ms); default: 285000. */
  cancelTimeoutMs?: number
  /** Simulates a lost machine: every process is killed immediately, and no post step runs. */
  runnerLost?: AbortSignal
}
