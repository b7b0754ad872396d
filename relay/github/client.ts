import type { ClientPayload } from '../../port/payload.ts'
import type { Invocation } from '../../port/types.ts'
import type { Config } from '../config/config.ts'
import type { Target } from '../delivery/delivery.ts'
import type { OnResponse } from '../http/problem.ts'
import { type ApprovalReader, createApprovalReader } from './approvals.ts'
import { createCredential, hideSecrets, pausedCredential } from './credentials.ts'
import { repositoryDispatchRefusal, sendRepositoryDispatch } from './dispatch.ts'
import { DelayedError, type DispatchOutcome, dispatchFailure } from './errors.ts'
import { createJobReader, type JobReader } from './jobs.ts'
import { createRateLimitPauses } from './rate-limit-pause.ts'
import { createRepositoryReader, type RepositoryReader } from './repository.ts'
import { createRunControl, createRunReader, type RunControl, type RunReader } from './runs.ts'
import { createWorkflowDispatcher } from './workflow-dispatch.ts'
import { createWorkflowFileReader, type WorkflowFileReader } from './workflow-files.ts'
import { workflowRefusal } from './workflow-refusal.ts'

export interface GitHub
  extends RunReader,
    RunControl,
    ApprovalReader,
    JobReader,
    RepositoryReader,
    WorkflowFileReader {
  /** The address of GitHub's pages: `https://github.com`, or the server of GITHUB_API_URL. */
  serverUrl: string
  /** GitHub's clock minus the relay's, in ms; null before GitHub's first response. */
  clockOffset(): number | null
  /** What its responses say about the credential. */
  facts: Pick<ResponseFacts, 'rateLimitRemaining' | 'tokenExpiresAt'>
  /** Asks GitHub whether it accepts the credential: `onResponse` gets the response. */
  checkCredential(): Promise<void>
  /**
   * Sends one dispatch. It isn't idempotent: if it may have started a workflow, it's never repeated.
   *
   * @param content.payload what the action reads
   * @param content.invocation the source of a workflow's inputs
   * @param sendBy nothing is sent after this time, milliseconds since 1970
   */
  dispatch(
    target: Target,
    content: { payload: ClientPayload; invocation: Invocation },
    sendBy?: number,
  ): Promise<DispatchOutcome>
}

/**
 * GitHub for the relay, with a token or as a GitHub App.
 *
 * @param options.isAllowed whether the relay may dispatch to the new name of a renamed repository; never if absent
 * @param options.secrets what GitHub's error texts must not show, besides the credential
 * @param options.onResponse called with each response of the API
 */
export function createGitHub(
  config: Config['github'],
  clock: () => number = Date.now,
  pauses = createRateLimitPauses(config.auth, clock),
  {
    isAllowed = () => false,
    secrets = [],
    onResponse = () => {},
  }: {
    isAllowed?: (repository: string) => boolean
    secrets?: readonly string[]
    onResponse?: OnResponse
  } = {},
): GitHub {
  const offset = createClockOffset(clock)
  const facts = createResponseFacts(clock)
  const direct = createCredential(config, clock, (response, sentAt, error) => {
    onResponse(response, error)
    // A response of a proxy has the time of the proxy's clock, and other headers.
    if (!response?.headers.has('x-github-request-id')) return
    offset.observe(response.headers.get('date'), sentAt)
    facts.observe(response)
  })
  const { auth, webhookSecret } = config
  const ours = ['token' in auth ? auth.token : auth.privateKey, webhookSecret ?? '', ...secrets]
  const credential = pausedCredential(hideSecrets(direct, ours), pauses, clock)
  const repositories = createRepositoryReader(credential)
  const dispatchWorkflow = createWorkflowDispatcher(credential, repositories, clock)
  return {
    serverUrl: serverUrl(config.apiUrl),
    clockOffset: offset.read,
    facts,
    checkCredential: direct.check,
    ...createRunReader(credential),
    ...createRunControl(credential, { mayPost() {}, isAllowed }),
    ...createApprovalReader(credential),
    ...createJobReader(credential),
    ...createWorkflowFileReader(credential),
    ...repositories,
    async dispatch({ repository, eventType: type, workflow, ref }, content, sendBy = Infinity) {
      const eventType = type ?? ''
      const mayPost = () => {
        if (clock() > sendBy) throw new DelayedError()
      }
      const policy = { mayPost, isAllowed }
      let outcome: DispatchOutcome
      try {
        outcome =
          workflow === null
            ? await credential.use(repository, octokit =>
                sendRepositoryDispatch(octokit, { repository, eventType }, content.payload, policy),
              )
            : await dispatchWorkflow({ repository, workflow, ref }, content, policy)
      } catch (error) {
        outcome = dispatchFailure(error, {
          repository,
          now: clock(),
          refusal: (status, message, documentation) =>
            workflow === null
              ? repositoryDispatchRefusal(status, message, { repository, eventType }, documentation)
              : workflowRefusal(
                  status,
                  message,
                  { repository, workflow, ref: ref ?? 'the default branch' },
                  {},
                  documentation,
                ),
        })
      }
      // GitHub limits writes separately from reads: only a dispatch shows that dispatches are accepted again.
      if (outcome.kind === 'accepted' || outcome.kind === 'rejected') pauses.resume(repository)
      if (outcome.kind !== 'deferred' || outcome.cause !== 'rate_limit') return outcome
      return { ...outcome, until: pauses.find(repository)?.pausedUntil ?? outcome.until }
    },
  }
}

/** What GitHub's answers show of the relay's credential. */
interface ResponseFacts {
  /** @param response GitHub's own */
  observe(response: Pick<Response, 'headers'>): void
  /** The smallest number of requests that GitHub leaves until a window ends; null if no window is open. */
  rateLimitRemaining(): number | null
  /** When the token expires, milliseconds since 1970; null if it doesn't, or belongs to an App. */
  tokenExpiresAt(): number | null
}

/** An App has a window for each installation. */
const MAX_WINDOWS = 1_000

/** @param clock milliseconds since 1970 */
function createResponseFacts(clock: () => number): ResponseFacts {
  /** By the time at which a window ends. */
  const windows = new Map<number, number>()
  let expiresAt: number | null = null

  function forgetFinished(): void {
    for (const end of windows.keys()) if (end <= clock()) windows.delete(end)
  }

  return {
    observe({ headers }) {
      const expiry = Date.parse(headers.get('github-authentication-token-expiration') ?? '')
      if (Number.isFinite(expiry)) expiresAt = expiry
      const end = Number(headers.get('x-ratelimit-reset')) * 1000
      const remaining = Number(headers.get('x-ratelimit-remaining') ?? Number.NaN)
      if (!(end > clock()) || !Number.isInteger(remaining)) return
      if (windows.size >= MAX_WINDOWS && !windows.has(end)) forgetFinished()
      if (windows.size < MAX_WINDOWS || windows.has(end)) {
        windows.set(end, Math.min(remaining, windows.get(end) ?? remaining))
      }
    },
    rateLimitRemaining() {
      forgetFinished()
      return windows.size === 0 ? null : Math.min(...windows.values())
    },
    tokenExpiresAt: () => expiresAt,
  }
}

/** The difference between GitHub's clock and the relay's, by the `Date` header of GitHub's responses. */
interface ClockOffset {
  /**
   * @param date the header
   * @param sentAt when the request was sent, by the monotonic clock, ms
   */
  observe(date: string | null, sentAt: number): void
  /** GitHub's clock minus the relay's, in ms; null before the first response. */
  read(): number | null
}

/** The header has whole seconds. */
const RESOLUTION_MS = 1_000

/**
 * Each response limits the difference on both sides: GitHub wrote its time between the request and the response. The
 * intersection of all ranges is kept; a range that contradicts it (GitHub's clock was set, this machine slept) replaces
 * it. Time is measured monotonically, so that a jump of the relay's own clock shows at once.
 *
 * @param monotonic ms since any moment
 */
function createClockOffset(clock: () => number, monotonic = () => performance.now()): ClockOffset {
  let bounds: { least: number; most: number } | null = null
  return {
    observe(date, sentAt) {
      const at = Date.parse(date ?? '')
      if (!Number.isFinite(at)) return
      const least = at - monotonic()
      const most = at + RESOLUTION_MS - sentAt
      const common = bounds && {
        least: Math.max(bounds.least, least),
        most: Math.min(bounds.most, most),
      }
      bounds = common && common.least <= common.most ? common : { least, most }
    },
    read: () => bounds && Math.round((bounds.least + bounds.most) / 2 + monotonic() - clock()),
  }
}

/** The address of GitHub's pages, by that of the API: github.com, GHE.com (`api.SUBDOMAIN.ghe.com`), or an Enterprise Server (`HOST/api/v3`). */
function serverUrl(apiUrl: string): string {
  const { protocol, host } = new URL(apiUrl)
  return `${protocol}//${host.replace(/^api\.(?=github\.com$|[^.]+\.ghe\.com$)/, '')}`
}
