import { packClientPayload } from '../../port/client-payload.ts'
import type { Invocation } from '../../port/types.ts'
import type { GitHub } from '../github/client.ts'
import type { Pauses } from '../github/pauses.ts'
import { LIMITED } from '../github/rate-limit.ts'
import type { Pause, Queued, Store } from '../store/store.ts'
import type { PortAsker } from './ask-port.ts'
import { afterAnswer, afterLook, type Decision } from './decide.ts'
import { findRun } from './find-run.ts'
import { keepTrying } from './keep-trying.ts'
import { writeHeld } from './write-held.ts'

export interface DispatchParts {
  store: Store
  github: GitHub
  pauses: Pauses
  asker: PortAsker
  clock: () => number
  publicUrl: string | null
  startTimeout: number
  runTimeout: number
  /** Whether Port can be told anything. */
  tells: boolean
}

const BEFORE_MS = 10_000
/**
 * What GitHub answered is kept for as long as a database may be away: written under the lease that was, or a new one
 * of this relay, it holds unless another relay has taken the delivery over. What was only looked at ages.
 */
const ANSWERED_MS = 600_000
const LOOKED_MS = 20_000
/**
 * What a request takes at most, its own time-out and a little more, and how far apart the clocks of two relays may be
 * (see {@link compareClocks}): it is over before another relay takes the delivery up.
 */
const REQUEST_MS = 35_000
/** While the first dispatch after a pause is under way. */
const PROBED_MS = 1_000

/**
 * Moves a queued delivery one step. BE VERY CAREFUL what is sent twice here: a `repository_dispatch` is not
 * idempotent. The intention is on disk before the request leaves, so that a relay which dies in between
 * finds it, and looks for the run before it ever sends again.
 */
export async function dispatch(
  delivery: Queued,
  parts: DispatchParts,
  stopping?: AbortSignal,
): Promise<void> {
  const { store, github, clock, pauses } = parts
  const { repository } = delivery
  const scope = pauses.scope(repository)
  pauses.learn([{ scope, until: delivery.pausedUntil }])
  if (delivery.sentAt !== null) {
    const evidence = await findRun(delivery, parts)
    return write(delivery, parts, afterLook(delivery, evidence, clock(), parts), { unsent: true })
  }
  const until = pauses.until(repository)
  if (until > clock()) {
    const outcome = {
      kind: 'deferred',
      until,
      reason: LIMITED,
      scope: 'credential',
      cause: 'rate_limit',
    } as const
    return write(delivery, parts, afterAnswer(delivery, outcome, clock(), parts), { unsent: true })
  }
  if (!pauses.mayTry(repository)) {
    const change = { dueAt: clock() + PROBED_MS }
    return write(delivery, parts, { change, reports: [] }, { unsent: true })
  }
  if (!(await keepTrying(() => store.markSent(delivery, clock()), BEFORE_MS))) {
    // The run has reported meanwhile, so its watch is due; or the lease is lost, and this changes nothing.
    return write(delivery, parts, { change: {}, reports: [] }, { unsent: true })
  }
  const invocation = JSON.parse(delivery.invocation) as Invocation
  const payload = packClientPayload(invocation, {
    delivery: delivery.id,
    relay: parts.publicUrl,
  })
  const outcome = await github.dispatch(
    delivery,
    { payload, inputs: invocation.inputs },
    delivery.leaseUntil - REQUEST_MS,
  )
  const limited = outcome.kind === 'deferred' && outcome.cause === 'rate_limit'
  const pause = limited ? { scope, until: pauses.until(repository) } : null
  await write(delivery, parts, afterAnswer(delivery, outcome, clock(), parts), { pause }, stopping)
}

async function write(
  delivery: Queued,
  { store, clock, tells }: DispatchParts,
  { change, reports }: Decision,
  also: { unsent?: boolean; pause?: Pause | null },
  stopping?: AbortSignal,
): Promise<void> {
  const told = tells && delivery.runId !== null && delivery.kind !== 'none' ? reports : []
  const patience = also.unsent ? LOOKED_MS : ANSWERED_MS
  await writeHeld(delivery, () => store.record(delivery, change, clock(), told, also), patience, stopping)
}
