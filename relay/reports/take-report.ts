import type { Context } from 'hono'
import { BOUNDS } from '../config/bounds.ts'
import type { BodyRoom } from '../http/body-memory.ts'
import type { Store } from '../store/store.ts'
import { type BoundParts, boundDelivery, refuseUnbound } from './bound-delivery.ts'
import { readMessage, reportMessage } from './read-message.ts'

export interface TakeParts extends BoundParts {
  store: Pick<Store, 'get' | 'report' | 'wakeDelivery'>
  /** Whether Port can be told anything. */
  tells: boolean
  clock: () => number
}

/**
 * `POST /report`: words for Port of the workflow run that a delivery is bound to. Answered with 202 once they
 * are on disk; they are said in order, however long Port is away. A conclusion ends the delivery.
 *
 * @throws Problem 400, 401, 403, 413, 503
 */
export function createTake(parts: TakeParts): (c: Context, room: BodyRoom) => Promise<Response> {
  const { store, tells, clock } = parts
  return async (c, room) => {
    const { message, delivery, bound } = await boundDelivery(c, parts, () =>
      readMessage(c, reportMessage, BOUNDS.reportBody.value, room),
    )
    const { sender, number, ending } = message
    const { reports } = message
    const ends = reports.some(report => 'update' in report && report.update.conclusion !== undefined)
    const told = tells && delivery.runId !== null && delivery.kind !== 'none'
    const given = { sender, number, ...bound, finish: ends }
    // It may have been redelivered meanwhile.
    if (!(await store.report(delivery.id, told ? reports : [], clock(), given)))
      throw refuseUnbound(parts.log, delivery.id, bound)
    // The workflow may end now: its watch looks at once, and more often.
    if (ending && !ends) await store.wakeDelivery(delivery.id, clock())
    return c.json({ delivery: delivery.id, number }, 202)
  }
}
