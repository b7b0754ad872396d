import type { ClientPayload } from '../../port/payload.ts'
import type { Invocation } from '../../port/types.ts'
import { BoundedMap } from '../cache.ts'
import type { Config } from '../config/config.ts'
import type { OnResponse, Received } from '../config/outgoing.ts'
import { createApprovalReader } from './approvals.ts'
import { CredentialError, createCredential, hideSecrets, pausedCredential } from './credentials.ts'
import { repositoryDispatchRefusal, sendRepositoryDispatch } from './dispatch.ts'
import { type DispatchOutcome, dispatchFailure, type Listed } from './errors.ts'
import { createJobReader } from './jobs.ts'
import { createRateLimitPauses } from './rate-limit-pause.ts'
import { createRepositoryReader } from './repository.ts'
import { findResponse } from './response.ts'
import { createRunControl, createRunReader } from './runs.ts'
import { createWorkflowDispatcher } from './workflow-dispatch.ts'
import { createWorkflowFileReader } from './workflow-files.ts'
import { workflowRefusal } from './workflow-refusal.ts'

/** The target of a dispatch: a repository and an event type, or a repository, a workflow, and a ref. */
export interface Target {
  repository: string
  /** The event type of a `repository_dispatch`; null for a `workflow_dispatch`. */
  eventType: string | null
  /** The file name or ID of a workflow; null for a `repository_dispatch`. */
  workflow: string | null
  /** A branch or tag; null for the default branch. */
  ref: string | null
}

export type GitHub = ReturnType<typeof createGitHub>

/**
 * @param options.isAllowed whether the relay may dispatch to a repository that was renamed to this name; by default, it
 *   may not
 * @param options.secrets values to remove from GitHub's error messages; the credential is always removed
 */
export function createGitHub(
  config: Config['github'],
  clock: () => number = Date.now,
  pauses = createRateLimitPauses(config.auth, clock),
  options: {
    isAllowed?: (repository: string) => boolean
    secrets?: readonly string[]
    onResponse?: OnResponse
  } = {},
) {
  const { isAllowed = () => false, secrets = [], onResponse = () => {} } = options
  const offset = createClockOffset(clock)
  const { auth, webhookSecret } = config
  const { observe, ...facts } = createResponseFacts(clock, 'token' in auth)
  const direct = createCredential(config, clock, (response, sentAt, error) => {
    onResponse(response, error)
    // Without this header, the response is from a proxy, so its other headers, such as `Date`, aren't GitHub's.
    if (!response?.headers.has('x-github-request-id')) return
    offset.observe(response.headers.get('date'), sentAt)
    observe(response)
  })
  const ours = ['token' in auth ? auth.token : auth.privateKey, webhookSecret ?? '', ...secrets]
  const credential = pausedCredential(hideSecrets(direct, ours), pauses, clock)
  const repositories = createRepositoryReader(credential)
  const dispatchWorkflow = createWorkflowDispatcher(credential, repositories, clock)
  /** After a 404, shows whether the repository, the workflow, or a permission is missing. */
  const listIfNotFound = async (error: unknown, repository: string): Promise<Listed> => {
    if (findResponse(error)?.status !== 404 || error instanceof CredentialError) return null
    return repositories
      .workflows(repository)
      .catch(refusal => (findResponse(refusal)?.status === 404 ? 'hidden' : null))
  }
  return {
    serverUrl: serverUrl(config.apiUrl),
    /** Returns GitHub's time minus the relay's time, in milliseconds; null before GitHub's first response. */
    clockOffset: offset.read,
    facts,
    /** Sends a request that shows whether GitHub accepts the credential. */
    checkCredential: direct.check,
    ...createRunReader(credential),
    ...createRunControl(credential, { maySend: () => true, isAllowed }),
    ...createApprovalReader(credential),
    ...createJobReader(credential),
    ...createWorkflowFileReader(credential),
    ...repositories,
    /**
     * Sends a dispatch. Never repeats a request that may have started a workflow.
     * @param maySend called right before the request; if it returns false, nothing is sent
     */
    async dispatch(
      { repository, eventType: type, workflow, ref }: Target,
      content: { payload: ClientPayload; invocation: Invocation },
      maySend = () => true,
    ): Promise<DispatchOutcome> {
      const eventType = type ?? ''
      const policy = { maySend, isAllowed }
      let outcome: DispatchOutcome
      try {
        outcome =
          workflow === null
            ? await credential.use(repository, octokit =>
                sendRepositoryDispatch(octokit, { repository, eventType }, content.payload, policy),
              )
            : await dispatchWorkflow({ repository, workflow, ref }, content, policy)
      } catch (error) {
        const listed = await listIfNotFound(error, repository)
        outcome = dispatchFailure(error, {
          repository,
          now: clock(),
          refusal: (...refused) =>
            workflow === null
              ? repositoryDispatchRefusal(refused, { repository, eventType, listed }, content.payload)
              : workflowRefusal(refused, { repository, workflow, ref: ref ?? 'the default branch', listed }),
        })
      }
      // The response to a read doesn't end the pause, because GitHub limits reads and writes separately.
      if (outcome.kind === 'accepted' || outcome.kind === 'rejected') pauses.resume(repository)
      if (outcome.kind !== 'deferred' || outcome.cause !== 'limit') return outcome
      return { ...outcome, until: pauses.find(repository)?.pausedUntil ?? outcome.until }
    },
  }
}

/** The maximum number of rate-limit windows. An App has one window per installation. */
const MAX_WINDOWS = 1_000

/** @param isToken whether all repositories share one limit. With an App, each owner's installation has its own limit. */
function createResponseFacts(clock: () => number, isToken: boolean) {
  /** The latest rate-limit window of each owner; with a token, of all owners together. */
  const latest = new BoundedMap<string, { end: number; remaining: number }>(MAX_WINDOWS)
  const limitOf = (owner: string) => (isToken ? '' : owner.toLowerCase())
  let expiresAt: number | null = null

  return {
    observe({ status, headers, url }: NonNullable<Received>): void {
      // In a 401, these headers are about anonymous requests.
      if (status === 401) return
      const expiry = Date.parse(headers.get('github-authentication-token-expiration') ?? '')
      if (Number.isFinite(expiry)) expiresAt = expiry
      const end = Number(headers.get('x-ratelimit-reset')) * 1000
      const remaining = Number(headers.get('x-ratelimit-remaining') ?? Number.NaN)
      if (!(end > clock()) || !Number.isInteger(remaining)) return
      const [, owner] = /\/repos\/([^/]+)\//.exec(url) ?? []
      if (owner) latest.set(limitOf(owner), { end, remaining })
    },
    /** Returns the key of the rate limit that applies to requests for a repository. */
    limitOf: (repository: string) => limitOf(repository.replace(/\/.*/, '')),
    /** Returns how many requests per minute the limit allows until its reset; 0 before GitHub's first response. */
    perMinute(limit: string): number {
      const { end = 0, remaining = 0 } = latest.get(limit) ?? {}
      return end > clock() ? remaining / Math.max(1, (end - clock()) / 60_000) : 0
    },
    /** Returns the smallest number of remaining requests among the open rate-limit windows; null if none is open. */
    rateLimitRemaining(): number | null {
      const open = [...latest.values()].filter(({ end }) => end > clock())
      return open.length === 0 ? null : Math.min(...open.map(({ remaining }) => remaining))
    },
    /** Returns when the token expires, in milliseconds since 1970; null for an App, or if the token doesn't expire. */
    tokenExpiresAt: () => expiresAt,
  }
}

const RESOLUTION_MS = 1_000

/**
 * Measures GitHub's time minus the relay's time. Each response yields a range, because GitHub sets the `Date` header at
 * some time between the request and the response. The result is the intersection of these ranges. A range that doesn't
 * overlap the intersection replaces it. `monotonic`: a timer in milliseconds, with which a change of the relay's clock
 * is noticed immediately.
 */
function createClockOffset(clock: () => number, monotonic = () => performance.now()) {
  let bounds: { least: number; most: number } | null = null
  return {
    /** @param sentAt when the request was sent, in milliseconds of the monotonic timer */
    observe(date: string | null, sentAt: number): void {
      const at = Date.parse(date ?? '')
      if (!Number.isFinite(at)) return
      const least = at - monotonic()
      const most = at + RESOLUTION_MS - sentAt
      const common = bounds && { least: Math.max(bounds.least, least), most: Math.min(bounds.most, most) }
      bounds = common && common.least <= common.most ? common : { least, most }
    },
    read: () => bounds && Math.round((bounds.least + bounds.most) / 2 + monotonic() - clock()),
  }
}

/** Returns the URL of GitHub's web pages for an API URL of github.com, `api.SUBDOMAIN.ghe.com`, or Enterprise Server (`HOST/api/v3`). */
function serverUrl(apiUrl: string): string {
  const { protocol, host } = new URL(apiUrl)
  return `${protocol}//${host.replace(/^api\.(?=github\.com$|[^.]+\.ghe\.com$)/, '')}`
}
