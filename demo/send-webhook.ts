import { createHmac } from 'node:crypto'
import type { Json } from '../port/types.ts'

/** Sends a webhook as Port does: compact JSON, signed over timestamp and body with the client secret. */
export async function sendWebhook(webhook: {
  url: string
  method: string
  secret: string
  body: Json
}): Promise<{ status: number; answer: { delivery?: string; detail?: string } }> {
  const body = JSON.stringify(webhook.body)
  const timestamp = String(Math.floor(Date.now() / 1000))
  const signature = createHmac('sha256', webhook.secret).update(`${timestamp}.${body}`).digest('base64')
  const response = await fetch(webhook.url, {
    method: webhook.method,
    headers: {
      'content-type': 'application/json',
      'x-port-timestamp': timestamp,
      'x-port-signature': `v1,${signature}`,
    },
    body,
    signal: AbortSignal.timeout(10_000),
  })
  return { status: response.status, answer: (await response.json()) as { delivery?: string } }
}
