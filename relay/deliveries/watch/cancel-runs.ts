import type { GitHub } from '../../github/client.ts'
import { readFailure } from '../../github/read-failure.ts'
import type { Delivery, DeliveryRun } from '../../store/delivery.ts'
import type { DeliveryEvent } from '../transition/events.ts'

/** A run that has not ended within this time after the first request is cancelled by force. */
const FORCE_AFTER_MS = 120_000
const LOOK_MS = 3_000

/**
 * Asks GitHub to cancel the runs of a delivery: once, and once more by force where that has no effect.
 *
 * @param now milliseconds since 1970
 * @returns null where nothing was cancelled now; a later look tries again, unless the credential lacks the permission
 */
export async function cancelRuns(
  { repository, cancelSentAt, cancelForced }: Delivery,
  runs: readonly DeliveryRun[],
  { github, now }: { github: Pick<GitHub, 'cancelRun' | 'forceCancelRun'>; now: number },
): Promise<DeliveryEvent | null> {
  const forced = cancelSentAt !== null
  if (forced && (cancelForced || now < cancelSentAt + FORCE_AFTER_MS)) return null
  const send = forced ? github.forceCancelRun : github.cancelRun
  let sent = false
  for (const run of runs) {
    try {
      if ((await send(repository, run.id)) === 'accepted') sent = true
    } catch (error) {
      const failure = readFailure(error, { repository, now, tries: 0, permission: 'Actions: write' })
      if (failure.kind === 'forbidden' && failure.permission && !sent) {
        return { type: 'cancelRejected', reason: failure.reason, lookAt: now + LOOK_MS }
      }
    }
  }
  return sent ? { type: 'cancelSent', forced, lookAt: now + LOOK_MS } : null
}
