import { BOUNDS } from '../config/bounds.ts'
import { Problem } from '../http/problem.ts'
import { type Delivery, OPEN_STATES } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'
import type { BoundRun, ReportTokens } from './report-token.ts'

export interface BoundDeps {
  store: Pick<Store, 'get' | 'clock'>
  tokens: Pick<ReportTokens, 'verify' | 'mint'>
  log: Log
}

interface Log {
  warn: (fields: object, message: string) => void
}

/**
 * Reads a message that comes with a report token, and the delivery that both name, if it is still bound to the run and
 * attempt of the token.
 *
 * @param bound what the verified token says: without one, no body is read
 * @throws Problem 403, 410, and what `read` throws
 */
export async function boundDelivery<T extends { delivery: string }>(
  bound: BoundRun,
  { store, log }: BoundDeps,
  read: () => Promise<T>,
): Promise<{ message: T; delivery: Delivery }> {
  const message = await read()
  const delivery = message.delivery === bound.delivery ? await store.get(bound.delivery) : null
  if (!delivery || !isBound(delivery, bound)) throw refuseUnbound(log, message.delivery, bound)
  if (hasClosed(delivery, store.clock())) throw refuseEnded()
  return { message, delivery }
}

export const isBound = ({ runs }: Delivery, { runId, runAttempt }: BoundRun) =>
  runs.some(run => !run.past && run.evidence === 'report' && run.id === runId && run.attempt === runAttempt)

/** Whether a delivery has finished, and the time for its last lines is over. */
const hasClosed = ({ state, updatedAt }: Delivery, now: number) =>
  !OPEN_STATES.includes(state) && now > updatedAt + BOUNDS.reportGrace.value

export const refuseEnded = () =>
  new Problem(
    410,
    'The delivery has finished: its inputs are no longer given, and only log lines are accepted, for a minute. To start over, run the action in Port again.',
  )

export function refuseUnbound(log: Log, delivery: string, { runId, runAttempt }: BoundRun): Problem {
  log.warn(
    { delivery, github_run_id: runId, attempt: runAttempt },
    'a report was refused: its token belongs to another delivery, or to an earlier run or attempt of this one',
  )
  return new Problem(
    403,
    'This report token belongs to another delivery, or to an earlier run or attempt of this one.',
  )
}
