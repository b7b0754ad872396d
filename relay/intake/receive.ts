import { setTimeout as sleep } from 'node:timers/promises'
import { LIMITS } from '../config/limits.ts'
import type { NewDelivery, State } from '../delivery/delivery.ts'
import type { Target } from '../github/client.ts'
import type { Receive } from '../http/direct.ts'
import { Problem } from '../http/problem.ts'
import { PERSISTED } from '../http/request.ts'
import type { ThrottledLog } from '../log.ts'
import type { RouteDeps } from '../route-deps.ts'
import { SignatureUsed, type Store, StoreBusy } from '../store/store.ts'
import { createTargets, readAddress } from './target.ts'
import { deliveryId, readWebhook, usedElsewhere, type VerifiedWebhook, type VerifyWebhook } from './verify.ts'

interface ReceiveDeps extends Pick<RouteDeps, 'config' | 'store'> {
  verify: VerifyWebhook
  stopping?: AbortSignal
  log: Pick<ThrottledLog, 'info'>
  throttled: Pick<ThrottledLog, 'error'>
  /** `seconds`: how long the relay took to persist the delivery; null if the response waits for the dispatch. */
  onAccepted?: ((result: 'accepted' | 'duplicate', seconds: number | null) => void) | undefined
}

const METHODS = ['POST', 'PUT', 'PATCH', 'DELETE']
const wrongMethod = () =>
  new Problem(
    405,
    'Webhooks from Port must use POST, PUT, PATCH, or DELETE: select one of these methods in the Port action or node.',
    { allow: METHODS.join(', ') },
  )
const HEADERS = { 'Content-Type': 'application/json' }

/** Creates the handler of `POST /webhook`. It responds with success only after the delivery is on disk. */
export function createReceive(deps: ReceiveDeps): Receive {
  const { config, store, verify, stopping, log, onAccepted } = deps
  const chooseTarget = createTargets(config.targets)

  return (head, body) =>
    METHODS.includes(head.req.method) ? verify(head, body, receive) : Promise.reject(wrongMethod())

  async function receive(webhook: VerifiedWebhook): ReturnType<Receive> {
    // A separate function parses the body, so that the parsed data doesn't stay in memory during the wait.
    const { delivery, wait } = await parse(webhook)
    const accepted = await store.accept(delivery).catch(notPersisted)
    // The RUN_ID header isn't signed. A repeated webhook with another run ID is refused, so that Port doesn't show this run as started.
    if (delivery.runId !== null && accepted.runId !== delivery.runId)
      throw new Problem(
        409,
        'A webhook with this signature was received for another run, so this run isn\'t started. Only the RUN_ID header, which isn\'t signed, distinguishes the two webhooks. Add "port_context": { "runId": "{{ .run.id }}" } to the body of the Port action.',
      )
    webhook.head.set(PERSISTED, true)
    const { id, runId, state, duplicate } = accepted
    const seconds = wait ? null : (performance.now() - webhook.arrivedAt) / 1000
    onAccepted?.(duplicate ? 'duplicate' : 'accepted', seconds)
    const fields = targetFields(accepted)
    log.info(
      { delivery: id, run: runId, ...fields, duplicate },
      duplicate ? 'the webhook duplicates an accepted delivery' : 'the delivery is accepted',
    )
    const reached = wait ? await awaitDispatch(id, store, { stopping }) : state
    const status = (wait ? reached === 'queued' : !duplicate) ? 202 : 200
    const response = {
      delivery: id,
      run_id: runId,
      ...fields,
      ...(duplicate && { duplicate }),
      state: reached,
    }
    return { status, headers: HEADERS, text: JSON.stringify(response) }
  }

  async function parse(webhook: VerifiedWebhook) {
    const { invocation, identity } = await readWebhook(webhook)
    const limit = LIMITS.encryptedInputs
    if (invocation.encrypted.length > limit) {
      const sentence = `The webhook has ${invocation.encrypted.length} encrypted inputs; at most ${limit} are accepted. Encrypt fewer inputs of the Port action.`
      throw new Problem(422, sentence)
    }
    const { url, wait } = readAddress(webhook.head.req.url)
    const { from, ...target } = chooseTarget(invocation, url)
    const { runId, kind, action } = invocation
    const now = store.clock()
    const delivery: NewDelivery = {
      id: deliveryId(now),
      ...identity,
      runId,
      kind,
      action,
      ...target,
      reportWorkflowStatus: invocation.github?.reportWorkflowStatus ?? true,
      invocation: JSON.stringify({
        ...invocation,
        targetFrom: from,
        ...(target.workflow === null && { forWorkflow: undefined }),
      }),
      receivedAt: now,
    }
    return { delivery, wait }
  }

  function notPersisted(error: unknown): never {
    if (error instanceof SignatureUsed) throw usedElsewhere()
    if (error instanceof StoreBusy)
      throw new Problem(
        503,
        "Too many deliveries are waiting to be persisted; this delivery wasn't accepted. Send the webhook again shortly.",
        { 'retry-after': '1' },
      )
    const what = "a delivery couldn't be persisted, or the database's response was lost"
    deps.throttled.error({ err: error }, what)
    throw new Problem(
      503,
      "The relay's database (RELAY_DATABASE) doesn't accept writes; this delivery may not have been accepted. Send the webhook again: if the delivery was accepted, the response reports a duplicate.",
      { 'retry-after': '10' },
    )
  }
}

const targetFields = ({ repository, eventType, workflow, ref }: Target) =>
  workflow === null ? { repository, event_type: eventType } : { repository, workflow, ref }

const POLL_MS = 100

/**
 * Waits until GitHub has accepted the dispatch, because the response is the result of a synchronous action in Port.
 * Polls the store, because another relay may send the dispatch.
 * @returns the delivery's state; `queued` if the delivery is frozen, GitHub takes more than 20 s, or the database is
 * unavailable
 * @throws Problem 502 with the reason if GitHub rejected the dispatch
 */
export async function awaitDispatch(
  id: string,
  store: Pick<Store, 'get'>,
  {
    stopping,
    patience = LIMITS.dispatchWait,
  }: { stopping?: AbortSignal | undefined; patience?: number } = {},
): Promise<State> {
  for (const until = performance.now() + patience; ; await sleep(POLL_MS)) {
    // If the database is unavailable now, the response still reports success, because the delivery is persisted.
    const delivery = await store.get(id).catch(() => null)
    const state = delivery?.state ?? 'queued'
    // If `dispatchedAt` is set, GitHub accepted the dispatch before the delivery failed.
    if (state === 'failed' && !delivery?.dispatchedAt)
      throw new Problem(502, delivery?.reason ?? 'The delivery failed.')
    const isFrozen = (delivery?.frozenBy ?? 0) > 0
    if (state !== 'queued' || isFrozen || stopping?.aborted || performance.now() >= until) return state
  }
}
