import type { Context } from 'hono'
import type { Invocation } from '../../port/types.ts'
import { BOUNDS } from '../config/bounds.ts'
import { bearer } from '../http/bearer.ts'
import type { BodyRoom } from '../http/body-memory.ts'
import { OPEN_STATES } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'
import { type BoundDeps, boundDelivery, refuseEnded } from './bound-delivery.ts'
import { handOut } from './hand-out.ts'
import { readMessage, startMessage } from './read-message.ts'

/**
 * `POST /report/inputs`: the inputs that `POST /report/start` gave, for a later process of the same run, which has to
 * know what to redact.
 *
 * @throws Problem 400, 401, 403, 410, 413, 503
 */
export function createGiveInputs(
  deps: BoundDeps & {
    store: Pick<Store, 'invocation'>
    /** What an organisation's inputs may be encrypted with. */
    secrets: (organisation: string) => string[]
  },
): (c: Context, room: BodyRoom) => Promise<Response> {
  return async (c, room) => {
    const bound = await deps.tokens.verify(bearer(c))
    const { message, delivery } = await boundDelivery(bound, deps, () =>
      readMessage(c, startMessage, BOUNDS.reportStartBody.value, room),
    )
    if (!OPEN_STATES.includes(delivery.state)) throw refuseEnded()
    const invocation = JSON.parse((await deps.store.invocation(delivery.id)) ?? '{}') as Invocation
    return c.json(handOut(invocation, message.complete, deps.secrets(delivery.organisation)))
  }
}
