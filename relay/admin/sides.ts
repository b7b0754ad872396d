import type { PortError } from '../../port/client/errors.ts'
import type { Config } from '../config/config.ts'
import type { OnResponse } from '../config/outgoing.ts'
import { RETRIED_MS } from '../delivery/delivery.ts'
import { clockTime } from '../delivery/outcome.ts'
import { ownerOf, type RateLimitPauses } from '../github/rate-limit-pause.ts'
import { foreignReason } from '../github/response.ts'
import type { ThrottledLog } from '../log.ts'
import { explainNetworkError } from './network-error.ts'

export const SIDES = ['github', 'port'] as const
export type Side = (typeof SIDES)[number]
export const NAMES = { github: 'GitHub', port: 'Port' }

export interface SideProblem {
  type: 'unreachable' | 'credential_rejected'
  side: Side
  /** The GitHub owner whose installation of the App is suspended; empty for other problems. */
  key: string
  text: string
  /** A sentence about what to check or change; empty if `text` contains this advice. */
  advice: string
  since?: number
}

type Observed =
  | { kind: 'succeeded' }
  /** The service refused the request, but not because of the credential. */
  | { kind: 'refused' }
  | { kind: 'rejected'; status: number }
  /** The service responded with 5xx, or didn't respond. `cause`: the reason, as a clause. */
  | { kind: 'failed'; cause: string; advice?: string }

export type Sides = ReturnType<typeof createSides>

/** The relay checks an unused credential every IDLE_MS, and a service that doesn't respond every RETRY_MS. */
const IDLE_MS = 60_000
const RETRY_MS = 10_000

type SidesConfig = Pick<Config, 'github' | 'port'>

/** Records the results of requests to GitHub and Port. Times are milliseconds since 1970 by the store's clock. */
export function createSides(deps: {
  config: SidesConfig
  clock: () => number
  pauses: Pick<RateLimitPauses, 'rejected'>
  throttled: Pick<ThrottledLog, 'warn' | 'error'>
  /** Returns a cheap request for each credential. The result of each request is recorded. */
  checks: () => { side: Side; check: () => Promise<void> }[]
}) {
  const { config, clock, pauses, throttled, checks } = deps
  const records = { github: createRecord(NAMES.github, clock), port: createRecord(NAMES.port, clock) }

  function observe(side: Side, observed: Observed | null): void {
    if (!observed) return
    const record = records[side]
    record.observe(observed)
    const name = NAMES[side]
    if (observed.kind === 'failed') {
      const since = new Date(record.unreachable?.since ?? clock()).toISOString()
      throttled.warn({ reason: observed.cause, since }, `a request to ${name} failed`)
    } else if (observed.kind === 'rejected') {
      throttled.error({ reason: rejection(side, observed.status) }, REJECTED[side])
    }
  }

  function rejections(side: Side): Map<string, Pick<SideProblem, 'text' | 'advice'>> {
    const found: ReturnType<typeof rejections> = new Map()
    const now = clock()
    const paused = side === 'github' ? pauses.rejected() : []
    for (const pause of paused.filter(({ pausedUntil }) => pausedUntil > now - RETRIED_MS)) {
      // A rejected App is one problem, even if several owners have installed the App.
      const owner = pause.cause === 'installation' ? ownerOf(pause) : ''
      const reason = `${pause.reason}${owner && ` (${owner})`}`
      const text = `${reason}. Next attempt at ${clockTime(Math.max(now, pause.pausedUntil))}.`
      found.set(owner, { text, advice: owner ? '' : RESTART })
    }
    const status = records[side].rejectedWith
    if (status !== null && !found.has(''))
      found.set('', { text: `${rejection(side, status)}.`, advice: ADVICE[side](config) })
    return found
  }

  function rejection(side: Side, status: number): string {
    const ofGitHub =
      'token' in config.github.auth ? 'GITHUB_TOKEN' : 'GITHUB_APP_ID or GITHUB_APP_PRIVATE_KEY'
    const settings = side === 'github' ? ofGitHub : 'PORT_CLIENT_ID or PORT_CLIENT_SECRET'
    return `${NAMES[side]} rejects ${settings} (${status})`
  }

  function problems(): SideProblem[] {
    return SIDES.flatMap(side => {
      const { unreachable } = records[side]
      return [
        ...[...rejections(side)].map(([key, problem]) => ({
          ...{ type: 'credential_rejected' as const, side, key, ...problem },
        })),
        ...(unreachable ? [{ type: 'unreachable' as const, side, key: '', ...unreachable }] : []),
      ]
    })
  }

  return {
    observeGitHub: (...result: Parameters<OnResponse>) =>
      observe('github', readGitHub(config.github.apiUrl, ...result)),
    observePort: (error: PortError | null) => observe('port', readPort(config.port.apiUrl, error)),
    /** Whether the relay uses the service. The relay uses Port only if PORT_CLIENT_ID is set. */
    isUsed: (side: Side) => side === 'github' || config.port.clientId !== null,
    lastSuccess: (side: Side) => records[side].lastSuccess,
    /** Whether the service accepted all credentials when they were last used; null before the first response. */
    isAccepted: (side: Side) => (rejections(side).size > 0 ? false : records[side].isAccepted),
    isKnown: (side: Side) => records[side].usedAt > Number.NEGATIVE_INFINITY,
    problems,
    /** Checks credentials that weren't used for a minute, and services that don't respond. */
    async check(): Promise<void> {
      const due = checks().filter(({ side }) => {
        const record = records[side]
        return clock() - record.usedAt >= (record.unreachable ? RETRY_MS : IDLE_MS)
      })
      await Promise.allSettled(due.map(({ check }) => check()))
    },
  }
}

export const GITHUB_REJECTS = "GitHub rejects the relay's credential: deliveries are waiting"
const REJECTED = {
  github: GITHUB_REJECTS,
  port: "Port rejects the relay's credentials: messages to Port are waiting",
}

/** The relay reads credentials when it starts, and never again. */
export const RESTART = 'After a change, restart the relay.'
const ADVICE = {
  github: ({ github: { auth } }: SidesConfig) =>
    'token' in auth ? `Set a new token. ${RESTART}` : `Check both values and this server's clock. ${RESTART}`,
  port: () => `Set the client ID and secret that Port shows under Credentials. ${RESTART}`,
}

function readGitHub(apiUrl: string, ...[response, error]: Parameters<OnResponse>): Observed | null {
  if (!response) return { kind: 'failed', ...explainNetworkError(error, apiUrl, 'GITHUB_API_URL') }
  const { status, headers } = response
  // Without x-github-request-id, the response is from a proxy.
  if (!headers.has('x-github-request-id'))
    return {
      ...{ kind: 'failed', cause: foreignReason(status) },
      advice: `Check GITHUB_API_URL (${apiUrl}), HTTPS_PROXY, and the gateways in between.`,
    }
  // A 5xx to a dispatch doesn't count, because the search for the workflow run, which follows, shows whether GitHub is down.
  if (status >= 500 && response.url.endsWith('/dispatches')) return null
  if (status >= 500)
    return {
      ...{ kind: 'failed', cause: `GitHub responded with ${status}` },
      advice: 'See https://www.githubstatus.com. The relay tries again by itself.',
    }
  if (status === 401) return { kind: 'rejected', status }
  return { kind: status < 400 ? 'succeeded' : 'refused' }
}

/** @returns null if the relay sent no request, or if the response could be from another server */
function readPort(apiUrl: string, error: PortError | null): Observed | null {
  if (!error) return { kind: 'succeeded' }
  const { kind, status } = error
  if (error.ofToken && status === 404)
    return {
      ...{ kind: 'failed', cause: 'PORT_API_URL is wrong: the server has no route for tokens (404)' },
      advice: `Set it to the API of your region, such as https://api.port.io. ${RESTART}`,
    }
  if (kind === 'credentials') return { kind: 'rejected', status: status ?? 401 }
  if (kind !== 'unreachable') return status === null ? null : { kind: 'refused' }
  if (status === null) return { kind: 'failed', ...explainNetworkError(error, apiUrl, 'PORT_API_URL') }
  if (status === 404 || status === 409) return null
  return {
    ...{ kind: 'failed', cause: `Port, or a proxy in front of it, responded with ${status}` },
    advice: 'See https://status.port.io. The relay tries again by itself.',
  }
}

function createRecord(name: string, clock: () => number) {
  return {
    lastSuccess: null as number | null,
    unreachable: null as { since: number; text: string; advice: string } | null,
    usedAt: Number.NEGATIVE_INFINITY,
    /** The status with which the service rejects the credential; null if it accepts the credential, or hasn't responded yet. */
    rejectedWith: null as number | null,
    isAccepted: null as boolean | null,
    observe(observed: Observed): void {
      const now = clock()
      this.usedAt = now
      if (observed.kind === 'failed') {
        const since = this.unreachable?.since ?? now
        const text = `${name} unreachable since ${clockTime(since)}: ${observed.cause}.`
        this.unreachable = { since, text, advice: observed.advice ?? '' }
        return
      }
      this.unreachable = null
      if (observed.kind !== 'rejected') this.lastSuccess = now
      if (observed.kind === 'refused') return
      this.isAccepted = observed.kind === 'succeeded'
      this.rejectedWith = observed.kind === 'rejected' ? observed.status : null
    },
  }
}
