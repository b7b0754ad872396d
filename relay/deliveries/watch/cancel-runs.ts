import type { GitHub } from '../../github/client.ts'
import { findResponse } from '../../github/github-answer.ts'
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
 * @returns null where nothing was cancelled now
 */
export async function cancelRuns(
  { repository, cancelSentAt, cancelForced }: Delivery,
  runs: readonly DeliveryRun[],
  { github, now }: { github: Pick<GitHub, 'cancelRun' | 'forceCancelRun'>; now: number },
): Promise<DeliveryEvent | null> {
  const forced = cancelSentAt !== null
  if (forced && (cancelForced || now < cancelSentAt + FORCE_AFTER_MS)) return null
  const send = forced ? github.forceCancelRun : github.cancelRun
  try {
    let sent = false
    for (const run of runs) if ((await send(repository, run.id)) === 'accepted') sent = true
    return sent ? { type: 'cancelSent', forced, lookAt: now + LOOK_MS } : null
  } catch (error) {
    // Not shown yet, as right after a workflow_dispatch, or deleted: the next look tells.
    if (findResponse(error)?.status === 404) return null
    const failure = readFailure(error, { repository, now, tries: 0, permission: 'Actions: write' })
    if (failure.kind === 'later') return null
    return { type: 'cancelRejected', reason: failure.reason, lookAt: now + LOOK_MS }
  }
}
