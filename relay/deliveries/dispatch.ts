import { packClientPayload } from '../../port/client-payload.ts'
import type { Invocation } from '../../port/invocation.ts'
import type { GitHub } from '../github/client.ts'
import type { Delivery } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'
import { afterAnswer, afterLook } from './decide.ts'
import { findRun } from './find-run.ts'
import { keepTrying } from './keep-trying.ts'
import type { Pauses } from './pauses.ts'
import { tellQueue } from './tell-queue.ts'

export interface DispatchParts {
  store: Store
  github: GitHub
  pauses: Pauses
  /** Port's `externalRunId` of a run; null where there is none. */
  externalRunId: (runId: string) => Promise<string | null>
  clock: () => number
  publicUrl: string | null
  startTimeout: number
  runTimeout: number
  /** Whether Port can be told anything. */
  tells: boolean
}

/** Together with the time-out of the request itself, these stay within the lease. */
const BEFORE_MS = 10_000
const AFTER_MS = 20_000

/**
 * Moves a queued delivery one step. BE VERY CAREFUL what is sent twice here: a `repository_dispatch` is not
 * idempotent. The intention is on disk before the request leaves, so that a relay which dies in between
 * finds it, and looks for the run before it ever sends again.
 */
export async function dispatch(delivery: Delivery, parts: DispatchParts): Promise<void> {
  const { store, github, clock, pauses } = parts
  if (delivery.sentAt !== null) {
    const evidence = await findRun(delivery, parts)
    return write(delivery, parts, afterLook(delivery, evidence, clock(), parts))
  }
  const pausedUntil = pauses.until(delivery.repository)
  if (pausedUntil > clock()) {
    const reason = 'GitHub limits how fast this credential may work'
    const outcome = { kind: 'later', at: pausedUntil, reason, everyone: false } as const
    return write(delivery, parts, afterAnswer(delivery, outcome, clock(), parts))
  }
  if (!(await keepTrying(() => store.markSent(delivery, clock()), BEFORE_MS))) return
  const payload = packClientPayload(JSON.parse(delivery.invocation) as Invocation, {
    delivery: delivery.id,
    relay: parts.publicUrl,
  })
  const outcome = await github.dispatch(delivery, payload, delivery.attempts.length)
  const limited = outcome.kind === 'later' && outcome.everyone && outcome.at !== null
  if (limited) pauses.set(delivery.repository, outcome.at as number)
  await write(delivery, parts, afterAnswer(delivery, outcome, clock(), parts))
  if (limited && parts.tells) await tellQueue(outcome, parts)
}

async function write(
  delivery: Delivery,
  { store, clock, tells }: DispatchParts,
  { change, reports }: ReturnType<typeof afterAnswer>,
): Promise<void> {
  const tell = tells && delivery.runId !== null && delivery.kind !== 'none'
  await keepTrying(() => store.record(delivery, change, clock(), tell ? reports : []), AFTER_MS)
}
