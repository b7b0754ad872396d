import type { Context } from 'hono'
import { text } from '../../port/invocation/values.ts'
import { isObject, type Json, type JsonObject, runKind } from '../../port/types.ts'
import { OPEN_STATES } from '../delivery/delivery.ts'
import { bodyOf } from '../http/body.ts'
import { Problem } from '../http/problem.ts'
import { type Cancellation, SignatureUsed, type Store } from '../store/store.ts'
import type { ApplyEvent } from '../workers/apply.ts'
import { readWebhook, usedElsewhere, type VerifyWebhook } from './verify.ts'

/**
 * `POST /webhook/cancel`: cancels the delivery of a Port run. The body is `{"run_id": "r_…"}`, or the `RUN_UPDATED`
 * event of a Port automation after a user finished the run. A repeated request gets the first response.
 * @throws Problem 400, 401, 409, 413, 422
 */
export function createCancel(deps: {
  store: Store
  apply: ApplyEvent
  verify: VerifyWebhook
}): (c: Context) => Promise<Response> {
  const { store, apply, verify } = deps
  return c =>
    verify(c, bodyOf(c), async webhook => {
      const { json, identity } = await readWebhook(webhook)
      try {
        const earlier = await store.findCancellation(identity)
        const response = earlier ?? (await cancel(json as Json | undefined))
        if (!earlier) await store.saveCancellation(webhook, response)
        return c.body(response.body, response.status, { 'content-type': 'application/json' })
      } catch (error) {
        throw error instanceof SignatureUsed ? usedElsewhere() : error
      }
    })

  async function cancel(json: Json | undefined): Promise<Cancellation> {
    const respond = (status: 200 | 202, body: JsonObject) => ({ status, body: JSON.stringify(body) })
    const asked = readCancel(json)
    if ('ignored' in asked) return respond(200, asked)
    const { runId } = asked
    const [listed] = await store.list({ runId }, { limit: 1 })
    const delivery = listed && (await store.get(listed.id))
    if (!delivery) return respond(200, { ignored: `the relay has no delivery for run ${runId}` })
    const { outcome, delivery: now } = await apply(delivery, { type: 'cancelRequested', by: 'port' })
    const response = { delivery: delivery.id, run_id: runId, state: now.state }
    if (outcome === 'applied' || OPEN_STATES.includes(now.state)) return respond(202, response)
    return respond(200, { ...response, ignored: `the delivery is already ${now.state}` })
  }
}

function readCancel(body: Json | undefined): { runId: string } | { ignored: string } {
  const given = isObject(body) ? body : {}
  // A body with more keys could be a copy of an action's webhook. The signature doesn't cover the URL, so anyone could
  // send such a copy to this route.
  if (typeof given.run_id === 'string' && runKind(given.run_id) !== 'none') {
    if (Object.keys(given).length === 1) return { runId: given.run_id }
    throw new Problem(422, 'To cancel by "run_id", the body must have no other keys: remove them.')
  }
  // The body is either the event itself or the automation's complete context, which contains the event.
  const event = isObject(given.event) ? given.event : given
  const diff = isObject(event.diff) ? event.diff : {}
  const [before, after] = [diff.before, diff.after].map(side => (isObject(side) ? side : null))
  if (!before || !after || typeof after.id !== 'string' || runKind(after.id) === 'none')
    throw new Problem(
      422,
      'The body contains no run to cancel: send "event.diff" of a RUN_UPDATED automation, or {"run_id": "r_…"}.',
    )
  const [from, to] = [text(before.status), text(after.status)]
  if (from !== 'IN_PROGRESS' || !['FAILURE', 'SUCCESS'].includes(to ?? ''))
    return { ignored: `run ${after.id} went from ${from} to ${to}` }
  if (originOf(event) === 'API') return { ignored: `run ${after.id} was finished through Port's API` }
  return { runId: after.id }
}

/** Returns the origin of the change: Port's UI if a user changed the run, the API if an action reported directly. */
const originOf = (event: JsonObject) => (isObject(event.trigger) ? event.trigger.origin : undefined)
