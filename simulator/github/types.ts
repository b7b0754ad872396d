export type Access = 'none' | 'read' | 'write'
export type Permissions = { actions?: Access; checks?: Access; contents?: Access; metadata?: Access }

type DeclaredWorkflow = {
  path: string
  name: string
  /** The `repository_dispatch` types that the workflow listens for. */
  eventTypes: string[]
  /** Its `run-name`; default: the event type. */
  runName?: (payload: Record<string, unknown>) => string
  /** Its `workflow_dispatch` trigger; default: none. */
  dispatch?: {
    inputs?: Record<string, DeclaredInput>
    /** Its `run-name`; default: the workflow's name. */
    runName?: (inputs: Record<string, string>) => string
  }
  /** Default: `active`. */
  state?: 'active' | 'disabled_manually'
  /** The workflow file; default: a file with the triggers above. */
  content?: string
}

/** An input as the workflow file declares it. */
export type DeclaredInput = {
  type?: 'string' | 'boolean' | 'number' | 'choice' | 'environment'
  required?: boolean
  default?: string | number | boolean
  options?: string[]
}

export type NewRepository = {
  id?: number
  defaultBranch?: string
  /** Branches and tags besides the default branch. */
  refs?: string[]
  workflows?: DeclaredWorkflow[]
  /** The permissions of `api.token`; default: everything. */
  permissions?: Permissions
}

export type Repository = {
  id: number
  fullName: string
  owner: string
  name: string
  defaultBranch: string
  refs: string[]
  workflows: (DeclaredWorkflow & { id: number })[]
  permissions: Permissions
  createdAt: string
}

/** An annotation of a check run. */
export type CheckAnnotation = {
  path: string
  start_line: number
  annotation_level: 'notice' | 'warning' | 'failure'
  message: string
}

/** An accepted dispatch. */
export type Dispatch = {
  /** Epoch milliseconds. */
  at: number
  repository: string
  eventType: string
  clientPayload: Record<string, unknown>
  /** The header as received. */
  authorization: string
}

/** An accepted `workflow_dispatch`. */
export type WorkflowDispatch = {
  /** Epoch milliseconds. */
  at: number
  repository: string
  /** Path of the workflow file. */
  workflow: string
  ref: string
  /** As received. */
  inputs: Record<string, string>
  /** With the workflow's defaults. */
  allInputs: Record<string, string>
  runId: number
  /** The header as received. */
  authorization: string
}

type RunStatus = 'requested' | 'queued' | 'pending' | 'waiting' | 'in_progress' | 'completed'

/** A workflow run. `conclusion` can be any string, because GitHub adds values. Times are ISO 8601. */
export type GitHubRun = {
  id: number
  repository: string
  runNumber: number
  runAttempt: number
  event: string
  displayTitle: string
  name: string | null
  path: string
  workflowId: number
  status: RunStatus
  conclusion: string | null
  headBranch: string | null
  headSha: string
  actor: string | null
  createdAt: string
  updatedAt: string
  runStartedAt: string
}

/** An environment whose protection rules a run waits for. */
export type PendingDeployment = {
  environment: string
  /** Minutes; default: 0. */
  waitTimer?: number
  /** A user's login, or `team:NAME`. */
  reviewers: string[]
}

export type Review = {
  environment: string
  state: 'approved' | 'rejected'
  /** Login. */
  user: string
  comment: string
}

type GitHubStep = {
  name: string
  number: number
  status: 'queued' | 'in_progress' | 'completed'
  conclusion: string | null
  started_at: string | null
  completed_at: string | null
}

export type GitHubJob = {
  id: number
  name: string
  status: RunStatus
  conclusion: string | null
  started_at: string
  completed_at: string | null
  runner_name: string | null
  labels: string[]
  steps: GitHubStep[]
}

export type NewGitHubRun = Partial<GitHubRun> & { repository: string }
export type NewGitHubJob = Partial<Omit<GitHubJob, 'steps'>> & {
  name: string
  steps?: (Partial<GitHubStep> & { name: string })[]
}

/** A GitHub App, with the private key for its JWTs. */
export type GitHubApp = {
  id: number
  clientId: string
  slug: string
  /** PEM, PKCS#8. */
  privateKey: string
  publicKey: string
  installationId: number
  permissions: Permissions
  /** The repositories in which the App is installed, as `owner/name`. Default: all. */
  repositories?: string[]
}

export type NewToken = {
  /** `owner/name`; default: every repository. */
  repositories?: string[]
  permissions?: Permissions
  /** The kind of token: a user's, an App's, or a job's. */
  kind?: 'personal' | 'integration'
  /** Whether a user's token is fine-grained; default: classic. A fine-grained token can't have the permission Checks. */
  isFineGrained?: boolean
  /** Epoch milliseconds. */
  expiresAt?: number
}

export type GitHubApiOptions = {
  token?: string
  /** Serve under `/api/v3`, as Enterprise Server does. */
  enterprise?: boolean
  /** Whether a dispatch creates a queued run of every declared workflow that listens for its type. */
  autoRun?: boolean
  /**
   * Whether the response to a `workflow_dispatch` identifies the run. `given` (default): if the request asks for it.
   * `ignored`, `refused`: the server doesn't know this field of the request, and ignores it, or refuses the request.
   */
  runDetails?: 'given' | 'ignored' | 'refused'
  /** How far GitHub's clock is ahead of this machine's clock, in ms; default: 0. */
  clockSkewMs?: number
  /** The maximum number of requests per token and hour; default: unlimited. */
  hourlyLimit?: number
}
