import type { JsonObject } from '../../port/types.ts'
import { sign } from './sign.ts'

export interface Webhook {
  path?: string
  method?: string
  /** Bytes, or a value that is sent as compact JSON. */
  body?: unknown
  /** Overrides of Port's headers; null removes a header. */
  headers?: Record<string, string | null>
  secret?: string
  /** The text of the timestamp header. Default: the current time (ms), unique for each webhook. */
  timestamp?: string
}

let last = 0
/** Returns a unique timestamp, because webhooks with the same signature count as duplicates. */
function nextTimestamp(): number {
  last = Math.max(last + 1, Date.now())
  return last
}

/** Returns the request that Port would send. */
export function webhookRequest(webhook: Webhook = {}): { path: string; init: RequestInit } {
  const { body = {}, timestamp = String(nextTimestamp()) } = webhook
  const bytes = body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body))
  const headers = {
    'content-type': 'application/json',
    'x-port-timestamp': timestamp,
    'x-port-signature': sign(timestamp, bytes, webhook.secret),
    ...webhook.headers,
  }
  return {
    path: webhook.path ?? '/webhook',
    init: {
      method: webhook.method ?? 'POST',
      body: bytes as Uint8Array<ArrayBuffer>,
      headers: Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== null),
    },
  }
}

/** Sends a webhook as Port does, over a real socket. */
export async function send(url: string, webhook: Webhook = {}) {
  const { path, init } = webhookRequest(webhook)
  const response = await fetch(url + path, init)
  return { status: response.status, body: (await response.json()) as JsonObject }
}
