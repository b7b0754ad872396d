import { packClientPayload } from '../../port/client-payload.ts'
import type { Invocation } from '../../port/invocation.ts'
import type { GitHub } from '../github/client.ts'
import type { Outcome } from '../github/errors.ts'
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
    const outcome = { kind: 'later', at: pausedUntil, reason, everyone: true } as const
    return write(delivery, parts, afterAnswer(delivery, outcome, clock(), parts), outcome)
  }
  if (!(await keepTrying(() => store.markSent(delivery, clock()), BEFORE_MS))) return
  const payload = packClientPayload(JSON.parse(delivery.invocation) as Invocation, {
    delivery: delivery.id,
    relay: parts.publicUrl,
  })
  const outcome = await github.dispatch(delivery, payload, delivery.attempts.length)
  const limit = outcome.kind === 'later' && outcome.everyone && outcome.at !== null ? outcome : null
  const isNews = limit !== null && pauses.set(delivery.repository, clock(), limit.at as number)
  await write(delivery, parts, afterAnswer(delivery, outcome, clock(), parts), outcome)
  if (limit && isNews && parts.tells) await tellQueue(limit, parts)
}

async function write(
  delivery: Delivery,
  { store, clock, tells, pauses }: DispatchParts,
  { change, reports }: ReturnType<typeof afterAnswer>,
  outcome?: Outcome,
): Promise<void> {
  const waits = outcome?.kind === 'later' && outcome.everyone && change.state === undefined
  const isTold = waits && pauses.told.has(delivery.id)
  if (waits && reports.length > 0) pauses.told.add(delivery.id)
  const tell = tells && delivery.runId !== null && delivery.kind !== 'none' && !isTold
  await keepTrying(() => store.record(delivery, change, clock(), tell ? reports : []), AFTER_MS)
}
