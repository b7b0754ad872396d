import type { Context } from 'hono'
import { BOUNDS } from '../config/bounds.ts'
import { bearer } from '../http/bearer.ts'
import type { BodyRoom } from '../http/body-memory.ts'
import { refuseOverRate, type TokenBuckets } from '../http/token-bucket.ts'
import { OPEN_STATES } from '../store/delivery.ts'
import { type BoundDeps, boundDelivery, refuseEnded } from './bound-delivery.ts'
import type { createHandOut } from './hand-out.ts'
import { readMessage, startMessage } from './read-message.ts'

/**
 * `POST /report/inputs`: the inputs that `POST /report/start` gave, for a later process of the same run, which has to
 * know what to redact.
 *
 * @throws Problem 400, 401, 403, 410, 413, 429, 503
 */
export function createGiveInputs(
  deps: BoundDeps & {
    handOut: ReturnType<typeof createHandOut>
    /** Calls a minute, of each workflow run. */
    rate: TokenBuckets
  },
): (c: Context, room: BodyRoom) => Promise<Response> {
  return async (c, room) => {
    const bound = await deps.tokens.verify(bearer(c))
    const waitMs = deps.rate.take(`${bound.runId} ${bound.runAttempt}`)
    if (waitMs > 0) {
      const sentence = `A workflow run may ask for its inputs ${BOUNDS.reportInputsRate.value} times a minute: wait.`
      throw refuseOverRate(sentence, waitMs)
    }
    const { message, delivery } = await boundDelivery(bound, deps, () =>
      readMessage(c, startMessage, BOUNDS.reportStartBody.value, room),
    )
    if (!OPEN_STATES.includes(delivery.state)) throw refuseEnded()
    return c.json(await deps.handOut(delivery, message.complete))
  }
}
