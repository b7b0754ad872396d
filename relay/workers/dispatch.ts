import { packClientPayload } from '../../port/payload.ts'
import type { Invocation } from '../../port/types.ts'
import { matcher } from '../config/routes.ts'
import type { Delivery, Wait } from '../delivery/delivery.ts'
import type { DeliveryEvent } from '../delivery/events.ts'
import { FIRST_POLL_MS, followsPort, toGithubRunId } from '../delivery/match.ts'
import type { Found } from '../delivery/observation.ts'
import { blockerOf, NOTIFY_AFTER_MS, waitOf } from '../delivery/shown-wait.ts'
import { traceparent } from '../delivery/trace-context.ts'
import type { GitHub } from '../github/client.ts'
import { CREDENTIAL_RETRY_MS, type DispatchOutcome } from '../github/errors.ts'
import type { RateLimitPauses } from '../github/rate-limit-pause.ts'
import type { Claimed, Store } from '../store/store.ts'
import type { ApplyEvent } from './apply.ts'
import type { FindRuns } from './find-runs.ts'
import type { Freezes } from './freezes.ts'
import type { PortAccess } from './outbox.ts'

export interface DispatchDeps {
  store: Pick<Store, 'clock'>
  github: Pick<GitHub, 'dispatch'>
  pauses: RateLimitPauses
  port: PortAccess
  findRuns: FindRuns
  apply: ApplyEvent
  freezes: Pick<Freezes, 'find' | 'read'>
  publicUrl: string | null
  traced?: boolean
  onAttempt: (outcome: DispatchOutcome['kind']) => void
  rate: DispatchRate
}

export const DISPATCH_BURST = 20

export type DispatchRate = ReturnType<typeof createDispatchRate>

/** Creates the token bucket for RELAY_DISPATCH_RATE (`perMinute`; 0: no limit). `timer`: monotonic, in milliseconds. */
export function createDispatchRate(
  perMinute: number,
  tokens = DISPATCH_BURST,
  timer = () => performance.now(),
) {
  let at = timer()
  const fill = () => {
    const now = timer()
    tokens = Math.min(DISPATCH_BURST, tokens + ((now - at) * perMinute) / 60_000)
    at = now
  }
  return {
    /** Returns the number of dispatches that the rate allows now, at most `limit`. */
    available(limit: number): number {
      fill()
      return perMinute === 0 ? limit : Math.max(0, Math.min(limit, Math.floor(tokens)))
    },
    take(amount = 1): void {
      fill()
      tokens -= amount
    },
  }
}

/** The time limit for a dispatch, including the request for a token and the redirect of a renamed repository. */
const REQUESTS_MS = 30_000
/** The lease of a dispatch. It outlasts any step, so no other relay claims the delivery in the meantime. */
export const DISPATCH_LEASE_MS = REQUESTS_MS + 25_000
/** How long the relay tries to persist GitHub's response while the database is unavailable. */
const PATIENCE_MS = 600_000
/** The maximum age of the list of runs that the relay searches after a lost response. */
const FRESH_MS = 1_000
export function createDispatch(deps: DispatchDeps) {
  const { store, github, pauses, freezes, apply, publicUrl, traced, onAttempt, rate } = deps

  return async (claimed: Claimed, stopping: AbortSignal): Promise<void> => {
    const { repository, attemptedAt } = claimed
    if (!claimed.isAttempt) return findLostRun(claimed, deps)
    const record = (event: DeliveryEvent) => apply(claimed, event, { patienceMs: PATIENCE_MS, stopping })
    // The dispatch is counted before the first `await`, so that the next claim doesn't exceed the rate.
    rate.take()
    const [deferral, end] = await findObstacles(claimed, deps)
    if (deferral) {
      rate.take(-1)
      const { outcome, delivery } = await record(deferral)
      if (end && outcome === 'applied') await apply(delivery, end, { strict: true })
      return
    }
    const invocation = JSON.parse(claimed.invocation) as Invocation
    const payload = packClientPayload(invocation, {
      ...{ delivery: claimed.id, relay: publicUrl },
      ...(traced && { traceparent: traceparent(claimed) }),
    })
    const maySend = () => store.clock() <= claimed.leaseUntil - REQUESTS_MS && !freezes.find(repository)
    const outcome = await github.dispatch(claimed, { payload, invocation }, maySend)
    onAttempt(outcome.kind)
    if (outcome.kind === 'deferred' && (outcome.cause === 'credential' || outcome.cause === 'installation'))
      pauses.pause(repository, store.clock() + CREDENTIAL_RETRY_MS, outcome.reason, outcome.cause)
    const { kind, ...details } = outcome
    const event = { type: EVENTS[kind], attemptedAt, ...details } as DeliveryEvent
    const recorded = await record(event)
    // The run's title has already bound the run to another delivery, so the event is recorded without the run.
    if (recorded.outcome === 'conflict' && event.type === 'dispatchAccepted')
      await record({ ...event, run: null })
  }
}

const EVENTS = {
  accepted: 'dispatchAccepted',
  rejected: 'dispatchRejected',
  deferred: 'dispatchDeferred',
  response_lost: 'responseLost',
} as const

/** Returns the events that prevent the dispatch: a deferral, and possibly a second event if a user finished or canceled the run in Port. */
async function findObstacles(claimed: Claimed, deps: DispatchDeps): Promise<DeliveryEvent[]> {
  const { repository, attemptedAt, unfrozenAt, runs, freezes } = claimed
  const deferral = { type: 'dispatchDeferred', attemptedAt } as const
  const paused = deps.pauses.find(repository)
  if (paused) return [{ ...deferral, ...paused, until: paused.pausedUntil }]
  const run = unfrozenAt !== null && followsPort(claimed) ? await deps.port.read(claimed) : null
  if (run === 'unread')
    return [
      {
        ...deferral,
        cause: 'error',
        reason: "Port doesn't show whether a user finished the run",
        until: null,
      },
    ]
  const unsent = { ...deferral, cause: 'unsent', reason: '', until: deps.store.clock() + FRESH_MS } as const
  if (run?.cancelling) return [unsent, { type: 'cancelRequested', by: 'port' }]
  if (run?.finished && !run.synchronized)
    return [unsent, { type: 'finishedInPort', runs, conclusion: run.status }]
  if (freezes?.split('\n').some(glob => matcher([glob])(repository))) return [unsent]
  // Freezes are checked last, because a freeze can start while the relay waits for Port. They are read again, because a
  // known freeze may have ended before the claim.
  if (deps.freezes.find(repository)) await deps.freezes.read().catch(() => {})
  return deps.freezes.find(repository) ? [unsent] : []
}

/** Searches for evidence that a dispatch whose response was lost started a run. */
async function findLostRun(delivery: Delivery, { store, apply, port, findRuns }: DispatchDeps) {
  const run = await port.read(delivery)
  const externalRunId = toGithubRunId(typeof run === 'object' ? run.externalRunId : null)
  const found = await findRuns(delivery, { maxAge: FRESH_MS, externalRunId })
  const pollAt = store.clock() + FIRST_POLL_MS
  if (found.runs.some(each => !each.past)) {
    await apply(delivery, { type: 'runsSeen', runs: found.runs, pollAt })
    // A finished synchronous run shows nothing, because Port finishes it as soon as the webhook has a response.
  } else if (typeof run === 'object' && run.finished && !run.synchronized && followsPort(delivery)) {
    await apply(delivery, { type: 'finishedInPort', runs: found.runs, conclusion: run.status })
  } else if (found.elsewhere) {
    // The dispatch took effect, because Port's run ID belongs to a run of another repository.
    await apply(delivery, { type: 'dispatchAccepted', attemptedAt: delivery.attemptedAt, run: null })
  } else {
    await apply(delivery, {
      type: 'runNotFound',
      ...readList(found, delivery.repository, run === 'unread'),
      readAt: found.snapshot.readAt ?? 0,
    })
  }
}

function readList({ candidates, snapshot, whole }: Found, repository: string, portUnread: boolean) {
  const reason = snapshot.reason ?? "GitHub doesn't show the repository's runs"
  const unavailable = { list: 'unavailable', reason } as const
  if (snapshot.access === 'forbidden' && !portUnread) return { list: 'forbidden', reason } as const
  if (snapshot.access !== 'read' || !whole) return unavailable
  if (candidates.length === 0) return { list: 'empty', reason: 'no run appeared' } as const
  // Port could still identify the run, so the next poll decides.
  if (portUnread) return unavailable
  const ambiguous = `workflow runs in ${repository} can't be attributed to one delivery`
  return { list: 'ambiguous', reason: ambiguous } as const
}

/** The number of deliveries per round. A round takes at least a second, and Port's rate limit allows about this many messages per second. */
const AT_ONCE = 50

/** Creates a function that notifies Port of what the oldest waiting deliveries wait for. */
export function createNotifyWaiting(deps: {
  store: Pick<Store, 'findWaiting' | 'heads' | 'clock'>
  pauses: RateLimitPauses
  freezes: Pick<Freezes, 'active'>
  port: Pick<PortAccess, 'client'>
  apply: ApplyEvent
}) {
  const { store, pauses, freezes, port, apply } = deps
  return async () => {
    if (port.client === null) return
    const now = store.clock()
    const found = await store.findWaiting(now, now - NOTIFY_AFTER_MS, AT_ONCE, pauses.scope)
    const heads = await store.heads(found)
    await Promise.all(
      found.map(async delivery => {
        const freeze = freezes.active().find(({ id }) => id === delivery.frozenBy)
        if (!freeze && delivery.frozenBy > 0) return
        const wait: Wait = freeze
          ? { cause: 'frozen', reason: freeze.reason, until: freeze.endsAt }
          : waitOf(delivery, pauses.find(delivery.repository), blockerOf(delivery, heads))
        await apply(delivery, { type: 'waitingNotified', wait }, { strict: true })
      }),
    )
  }
}
