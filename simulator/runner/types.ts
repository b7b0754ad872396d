import type { GitHubApi } from '../github/github.ts'

export type StepResult = 'success' | 'failure' | 'cancelled' | 'skipped'

export type Annotation = {
  level: 'error' | 'warning' | 'notice'
  message: string
  /** `title`, `file`, `line`, … as in the command. */
  properties: Record<string, string>
}

export type SimulatedStep = {
  /** The name that GitHub's pages show: "Run ./deploy.sh", "Post Run org/port-webhook-action@v1". */
  name: string
  number: number
  kind: 'setup' | 'pre' | 'main' | 'run' | 'composite' | 'post' | 'complete'
  /** The id that the author set. */
  id: string | null
  status: 'queued' | 'in_progress' | 'completed'
  outcome: StepResult | null
  /** The step's result after `continue-on-error` is applied. */
  conclusion: StepResult | null
  exitCode: number | null
  /** The process's output, unmasked. */
  stdout: string
  stderr: string
  /** The log that GitHub would show, with commands executed and secrets masked. */
  log: string
  outputs: Record<string, string>
  state: Record<string, string>
  /** The values that the step added through `GITHUB_ENV` and `GITHUB_PATH`. */
  env: Record<string, string>
  path: string[]
  /** Markdown appended to `GITHUB_STEP_SUMMARY`. */
  summary: string
  /** At most ten annotations per level, as on GitHub. */
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
  /** The name with the matrix leg: "build (20, linux)". */
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
  /** The processes that the runner killed after the job, because they were still there. */
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
   * The event that triggers the workflow. For `repository_dispatch`, the payload is the dispatch's body
   * (`{event_type, client_payload}`). For other events, the payload contains the webhook's fields.
   */
  event: { name: string; payload: Record<string, unknown> }
  repository: string
  repositoryId?: number
  github?: GitHubForSimulator
  secrets?: Record<string, string>
  vars?: Record<string, string>
  /** The machine's own environment. From the caller's environment, it gets nothing but PATH, HOME, and TMPDIR. */
  env?: Record<string, string>
  runId?: number
  attempt?: number
  sha?: string
  /** The endpoint that issues OIDC tokens, passed to jobs with `permissions: id-token: write`. */
  oidc?: { url: string; requestToken: string }
  /** Additional actions: value of `uses:` (`*` is a wildcard) → folder. */
  actions?: Record<string, string>
  /** The base directory for `uses: ./…`; default: this project. */
  repositoryRoot?: string
  /**
   * Called with each unsupported part of a job that the simulator can omit, such as "environment". Without this
   * function, the simulator refuses the workflow.
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
  /** Simulates a lost machine: every process is killed immediately, and no post step runs. */
  runnerLost?: AbortSignal
}
