import type { Context } from 'hono'
import type { FirstUse, SignatureUse } from '../delivery/delivery.ts'
import { Problem, type ProblemStatus } from '../http/problem.ts'
import type { ThrottledLog } from '../log.ts'
import { SignatureUsed, type Store, StoreBusy } from '../store/store.ts'

export interface FirstUseDeps {
  store: Pick<Store, 'firstUse' | 'rememberUse'>
  throttled: Pick<ThrottledLog, 'error'>
}

/** Handles a webhook whose signature may have been used before, and stores the response. */
export type OnFirstUse = (
  c: Context,
  use: SignatureUse,
  handle: () => Promise<Response>,
  options?: {
    /** Whether the handler itself checks for an earlier use and stores an accepted use. */
    remembers: boolean
  },
) => Promise<Response>

/**
 * A signature covers the time and body but not the URL. Anyone who has seen a webhook could replay it to another
 * URL. Replays to another URL are refused. Replays to the same URL get the first response again. A use that gets a 429
 * or 5xx response isn't recorded, so that the sender can retry.
 *
 * @returns a function that throws Problem 409 for another URL, and 503 if the database is unavailable
 */
export function createOnFirstUse({ store, throttled: throttledLog }: FirstUseDeps): OnFirstUse {
  return async (c, use, handle, { remembers } = { remembers: false }) => {
    const before = remembers ? null : await stored(store.firstUse(use.digest))
    if (before) return repeat(c, use, before)
    let response: Response | undefined
    let refusal: Problem | undefined
    try {
      response = await handle()
      if (remembers) return response
    } catch (error) {
      if (error instanceof SignatureUsed) return repeat(c, use, error.first)
      if (!(error instanceof Problem) || error.status === 429 || error.status >= 500) throw error
      refusal = error
    }
    const first = {
      status: refusal?.status ?? response?.status ?? 0,
      body: refusal?.message ?? (await response?.clone().text()) ?? '',
    }
    const earlier = await stored(store.rememberUse(use, first))
    if (earlier && (earlier.address !== use.address || earlier.status !== null))
      return repeat(c, use, earlier)
    if (refusal) throw refusal
    return response as Response
  }

  async function stored<T>(result: Promise<T>): Promise<T> {
    try {
      return await result
    } catch (error) {
      if (!(error instanceof StoreBusy))
        throttledLog.error({ err: error }, 'a webhook was refused: database unavailable')
      throw new Problem(503, "The relay's database (RELAY_DATABASE) is unavailable. Retry shortly.", {
        'retry-after': '10',
      })
    }
  }
}

function repeat(c: Context, use: SignatureUse, { address, status, body }: FirstUse): Response {
  if (address !== use.address) {
    throw new Problem(
      409,
      'A webhook with this signature was received at another address. The address is not signed, so a signature is valid for one address only: send each webhook to a single URL.',
    )
  }
  if (status === null) throw anotherRun()
  if (status >= 400) throw new Problem(status as ProblemStatus, body ?? '')
  return c.body(body ?? '', status as 200, { 'content-type': 'application/json' })
}

export const anotherRun = () =>
  new Problem(
    409,
    'A webhook with this signature was received for another run, so this run is not started. Only the RUN_ID header, which is not signed, distinguishes the two webhooks. Add "port_context": { "runId": "{{ .run.id }}" } to the body of the Port action.',
  )
