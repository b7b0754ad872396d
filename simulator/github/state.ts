import { type KeyPairKeyObjectResult, randomBytes } from 'node:crypto'
import { takeKeyPair } from './key-pairs.ts'
import type {
  CheckAnnotation,
  Dispatch,
  GitHubApiOptions,
  GitHubApp,
  GitHubJob,
  GitHubRun,
  NewRepository,
  NewToken,
  PendingDeployment,
  Permissions,
  Repository,
  Review,
  WorkflowDispatch,
} from './types.ts'

/** A token and its permissions. */
export type Grant = Required<Pick<NewToken, 'kind'>> &
  Omit<NewToken, 'kind'> & { login: string; used: number }

export type GitHubState = ReturnType<typeof newGitHubState>

const FULL: Permissions = { actions: 'write', checks: 'write', contents: 'write', metadata: 'read' }

export function newGitHubState(options: GitHubApiOptions) {
  let id = 19_000_000_000 + Math.floor(Math.random() * 1_000_000_000)
  return {
    options,
    /** The base URLs of the API and the pages, known once the server listens. */
    url: '',
    serverUrl: '',
    /** By full name in lower case: GitHub's names are case-insensitive. */
    repositories: new Map<string, Repository>(),
    /** Former name in lower case → repository id. */
    moved: new Map<string, number>(),
    grants: new Map<string, Grant>(),
    apps: [] as GitHubApp[],
    keyPairs: [] as KeyPairKeyObjectResult[],
    dispatches: [] as Dispatch[],
    listeners: new Set<(dispatch: Dispatch) => unknown>(),
    workflowDispatches: [] as WorkflowDispatch[],
    workflowListeners: new Set<(dispatch: WorkflowDispatch) => unknown>(),
    runs: [] as GitHubRun[],
    runsById: new Map<number, GitHubRun>(),
    /** Every request to cancel an unfinished run. */
    cancellations: [] as { runId: number; isForced: boolean }[],
    /** Runs that continue after a request to cancel them. */
    unstoppable: new Set<number>(),
    /** By run id. */
    pendingDeployments: new Map<number, PendingDeployment[]>(),
    reviews: new Map<number, Review[]>(),
    /** The last `run_number`, by repository id. */
    runNumbers: new Map<number, number>(),
    /** By `run id/attempt`. */
    jobs: new Map<string, GitHubJob[]>(),
    jobLogs: new Map<number, string>(),
    /** The IDs of a concurrency group's workflow runs, the one in progress first. */
    concurrencyGroups: new Map<string, number[]>(),
    /** By job id, which is also the id of its check run. */
    annotations: new Map<number, CheckAnnotation[]>(),
    timers: new Set<NodeJS.Timeout>(),
    /** The time when the primary limit resets, in seconds since 1970. */
    resetAt: Math.floor(Date.now() / 1000) + 3600,
    /** GitHub's clock, in ms since 1970. */
    now: () => Date.now() + (options.clockSkewMs ?? 0),
    nextId: () => {
      id += 1 + Math.floor(Math.random() * 1000)
      return id
    },
  }
}

export function addRepository(state: GitHubState, fullName: string, given: NewRepository = {}): Repository {
  const [owner, name] = fullName.split('/')
  if (!owner || !name) throw new Error(`"${fullName}" is not owner/name`)
  const repository: Repository = {
    id: given.id ?? 700_000_000 + Math.floor(Math.random() * 100_000_000),
    fullName,
    owner,
    name,
    defaultBranch: given.defaultBranch ?? 'main',
    refs: given.refs ?? [],
    workflows: [],
    permissions: given.permissions ?? FULL,
    createdAt: '2025-03-04T08:15:30Z',
  }
  repository.workflows = (given.workflows ?? []).map((workflow, index) => ({
    ...workflow,
    id: repository.id * 10 + index,
  }))
  state.repositories.set(fullName.toLowerCase(), repository)
  return repository
}

/** Renames or transfers a repository. Requests to the old name are redirected. */
export function renameRepository(state: GitHubState, from: string, to: string): void {
  const repository = state.repositories.get(from.toLowerCase())
  const [owner, name] = to.split('/')
  if (!repository || !owner || !name) throw new Error(`"${from}" cannot become "${to}"`)
  state.repositories.delete(from.toLowerCase())
  state.moved.set(from.toLowerCase(), repository.id)
  for (const run of state.runs) if (run.repository === repository.fullName) run.repository = to
  state.repositories.set(to.toLowerCase(), Object.assign(repository, { fullName: to, owner, name }))
}

/** Adds a token: `ghp_…` or `github_pat_…` for users, `ghs_…` for Apps and jobs (about 520 characters since 2026). */
export function addToken(
  state: GitHubState,
  given: NewToken & { value?: string; login?: string } = {},
): string {
  const kind = given.kind ?? 'personal'
  const value =
    given.value ??
    (kind === 'personal'
      ? `${given.isFineGrained ? 'github_pat' : 'ghp'}_${randomBytes(18).toString('hex')}`
      : `ghs_${randomBytes(387).toString('base64url').replaceAll('-', 'A')}`)
  state.grants.set(value, { ...given, kind, login: given.login ?? 'octocat', used: 0 })
  return value
}

export function addApp(
  state: GitHubState,
  given: { permissions?: Permissions; repositories?: string[] } = {},
): GitHubApp {
  const pair = takeKeyPair()
  state.keyPairs.push(pair)
  const number = state.apps.length + 1
  const app: GitHubApp = {
    id: 1_200_000 + number,
    clientId: `Iv23li${randomBytes(7).toString('hex')}`,
    slug: `port-relay-${number}`,
    privateKey: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    publicKey: pair.publicKey.export({ type: 'spki', format: 'pem' }) as string,
    installationId: 60_000_000 + number,
    permissions: given.permissions ?? FULL,
    repositories: given.repositories,
  }
  state.apps.push(app)
  return app
}
