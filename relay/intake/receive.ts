import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from 'hono'
import { readInvocation } from '../../port/invocation/invocation.ts'
import type { Config } from '../config/config.ts'
import { LIMITS } from '../config/limits.ts'
import type { NewDelivery, State, Target } from '../delivery/delivery.ts'
import { Problem } from '../http/problem.ts'
import { PERSISTED } from '../http/refusals.ts'
import type { ThrottledLog } from '../log.ts'
import { runKey } from '../store/sql/intake.ts'
import { type Accepted, SignatureUsed, type Store, StoreBusy } from '../store/store.ts'
import { anotherRun, type OnFirstUse } from './first-use.ts'
import { deliveryId, parseBody } from './parse.ts'
import { createTargets, readAddress } from './target.ts'
import { runIdHeader, type VerifiedWebhook, type VerifyWebhook } from './verify.ts'

export interface ReceiveDeps {
  config: Pick<Config, 'targets'>
  store: Pick<Store, 'accept' | 'get' | 'clock'>
  verify: VerifyWebhook
  onFirstUse: OnFirstUse
  /** Aborted once this relay dispatches nothing more. */
  stopping?: AbortSignal
  log: { info: (fields: object, message: string) => void }
  failure: Pick<ThrottledLog, 'error'>
  /** Called with each webhook that is persisted, and in how many seconds it was; null where its answer waits. */
  onAccepted?: ((result: 'accepted' | 'duplicate', seconds: number | null) => void) | undefined
}

/**
 * Accepts a webhook of Port that was verified (see `verify.ts`), in this order: JSON → invocation → target →
 * allow-list → durable write → answer. Success is answered only after the delivery is on disk.
 *
 * @throws Problem for every refusal
 */
export function createReceive({
  config,
  store,
  verify,
  onFirstUse,
  stopping,
  log,
  failure: trouble,
  onAccepted,
}: ReceiveDeps): (c: Context) => Promise<Response> {
  const chooseTarget = createTargets(config.targets)

  return c => {
    const began = performance.now()
    return verify(c, webhook =>
      onFirstUse(
        c,
        webhook.use,
        async () => {
          const { delivery, wait } = readDelivery(c, webhook)
          return persist(c, delivery, wait, webhook, began)
        },
        { remembers: true },
      ),
    )
  }

  // Apart from readDelivery: nothing that was parsed is kept while the database is awaited.
  async function persist(
    c: Context,
    delivery: NewDelivery,
    wait: boolean,
    { room, use }: Pick<VerifiedWebhook, 'room' | 'use'>,
    began: number,
  ): Promise<Response> {
    let accepted: Accepted
    try {
      accepted = await store.accept(delivery, use)
    } catch (error) {
      throw error instanceof SignatureUsed ? error : refusal(error)
    }
    room.release()
    // The header is not signed: another one starts nothing, and Port learns that the run of this one was not started.
    if (delivery.runId !== null && accepted.runId !== delivery.runId) throw anotherRun()
    c.set(PERSISTED, true)
    onAccepted?.(
      accepted.duplicate ? 'duplicate' : 'accepted',
      wait ? null : (performance.now() - began) / 1000,
    )
    log.info(
      {
        delivery: accepted.id,
        run: accepted.runId,
        repository: accepted.repository,
        ...dispatchOf(accepted),
        duplicate: accepted.duplicate,
      },
      accepted.duplicate ? 'the webhook is a duplicate of a delivery' : 'the delivery is accepted',
    )
    const { id, runId, repository, duplicate } = accepted
    const response = {
      delivery: id,
      run_id: runId,
      repository,
      ...dispatchOf(accepted),
      ...(duplicate && { duplicate }),
    }
    if (!wait) {
      return c.json({ ...response, state: accepted.state }, duplicate ? 200 : 202)
    }
    const state = await awaitDispatch(id, store, { stopping })
    return c.json({ ...response, state }, state === 'queued' ? 202 : 200)
  }

  function readDelivery(
    c: Context,
    { organization, use, body }: VerifiedWebhook,
  ): { delivery: NewDelivery; wait: boolean } {
    const invocation = readInvocation(parseBody(body), runIdHeader(c))
    const most = LIMITS.encryptedInputs.value
    if (invocation.encrypted.length > most) {
      const sentence = `The webhook names ${invocation.encrypted.length} encrypted inputs; at most ${most} are accepted. Encrypt fewer inputs of the Port action.`
      throw new Problem(422, sentence)
    }
    const { url, wait } = readAddress(c)
    const { from, ...target } = chooseTarget(invocation, url)
    const { runId, kind, action } = invocation
    const now = store.clock()
    const delivery = {
      id: deliveryId(now),
      dedupeKey: runId ? runKey(organization, runId) : `signed:${use.digest}`,
      organization,
      runId,
      kind,
      action,
      ...target,
      invocation: JSON.stringify({
        ...invocation,
        targetFrom: from,
        // Only a workflow's inputs need what the author templated, which may hold more of a user than name and e-mail.
        ...(target.workflow === null && { forWorkflow: undefined }),
      }),
      receivedAt: now,
    }
    return { delivery, wait }
  }

  function refusal(error: unknown): Problem {
    const busy = error instanceof StoreBusy
    if (!busy)
      trouble.error(
        { err: error },
        'a delivery could not be persisted, or the answer of the database was lost',
      )
    return new Problem(
      503,
      busy
        ? 'More deliveries wait to be persisted than the relay keeps up with; this one was not accepted. Send it again shortly.'
        : "The relay's database (RELAY_DATABASE) takes no writes; this delivery may not have been accepted. Send it again: if it was accepted, it is answered as a duplicate.",
      { 'retry-after': busy ? '1' : '10' },
    )
  }
}

/** What starts in the repository, as answers and log lines name it. */
const dispatchOf = ({ eventType, workflow, ref }: Omit<Target, 'repository'>) =>
  workflow === null ? { event_type: eventType } : { workflow, ref }

/** Port's agent waits 30 s for an answer; this leaves room for the way back. */
const PATIENCE_MS = 20_000
const LOOK_MS = 100

/**
 * For a synchronous action, whose result is the answer to its webhook: waits until GitHub has accepted
 * the dispatch. Any relay may send it, so the store is asked.
 *
 * @param options.stopping ends the wait
 * @returns its state; still `queued` when GitHub has not answered in 20 s, or the database is unavailable
 * @throws Problem 502 with the reason when GitHub rejected it
 */
export async function awaitDispatch(
  id: string,
  store: Pick<Store, 'get'>,
  { stopping, patience = PATIENCE_MS }: { stopping?: AbortSignal | undefined; patience?: number } = {},
): Promise<State> {
  for (const until = performance.now() + patience; ; await sleep(LOOK_MS)) {
    // The delivery is persisted, so it is accepted even if the database is unavailable now.
    const delivery = await store.get(id).catch(() => null)
    const state = delivery?.state ?? 'queued'
    // GitHub had accepted a delivery that failed later.
    if (state === 'failed' && !delivery?.dispatchedAt)
      throw new Problem(502, delivery?.reason ?? 'The delivery failed.')
    if (state !== 'queued' || stopping?.aborted || performance.now() >= until) return state
  }
}
