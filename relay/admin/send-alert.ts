import { createHash, createHmac } from 'node:crypto'
import { describeNetworkError } from '../../port/client/errors.ts'
import type { Config } from '../config/config.ts'
import type { KnownProblem } from '../store/store.ts'
import { RUNBOOK } from './dashboard/banner.ts'
import { kindOf } from './problems.ts'

const TIMEOUT_MS = 5_000

/**
 * Sends an alert to RELAY_ALERT_URL as JSON, with a `text` field for Slack and the same data in separate fields. Alerts
 * about the same problems have the same id.
 * @throws Error whose message omits the URL, which is a secret
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export async function sendAlert(
  { url, secret }: NonNullable<Config['alert']>,
  publicUrl: string | null,
  { started, resolved }: Record<'started' | 'resolved', KnownProblem[]>,
  now: number,
): Promise<void> {
  const relay = publicUrl ?? 'port-webhook-relay'
  const show = ({ type, side, key, since, text: detail }: KnownProblem) => {
    const { section, page } = kindOf(type) ?? { section: 'Alerts-from-the-relay', page: '/status' }
    const links = { dashboard: publicUrl && publicUrl + page, runbook: `${RUNBOOK}#${section.toLowerCase()}` }
    return { type, side, key, since: new Date(since).toISOString(), detail, ...links }
  }
  const shown = { started: started.map(show), resolved: resolved.map(show) }
  const line = (each: ReturnType<typeof show>) => `${each.detail} ${each.dashboard ?? ''} ${each.runbook}`
  const lines = [...shown.started.map(line), ...resolved.map(({ text }) => `Resolved: ${text}`)]
  const body = JSON.stringify({
    text: escapeForSlack(`${relay}: ${lines.join('\n')}`),
    ...{ relay, time: new Date(now).toISOString() },
    ...shown,
  })
  const facts = [...started, ...resolved].map(({ type, side, key, since, resolvedAt }) => [
    ...[type, side, key, since, resolvedAt],
  ])
  const id = `msg_${createHash('sha256').update(JSON.stringify(facts)).digest('base64url').slice(0, 24)}`
  const timestamp = String(Math.floor(now / 1000))
  const signed = `${id}.${timestamp}.${body}`
  const headers = {
    ...{ 'content-type': 'application/json', 'user-agent': 'port-webhook-relay' },
    ...{ 'webhook-id': id, 'webhook-timestamp': timestamp },
    ...(secret && {
      'webhook-signature': `v1,${createHmac('sha256', secret).update(signed).digest('base64')}`,
    }),
  }
  const request = { method: 'POST', headers, body, signal: AbortSignal.timeout(TIMEOUT_MS) }
  const response = await fetch(url, { ...request, redirect: 'manual' }).catch(error => {
    throw new Error(`RELAY_ALERT_URL can't be reached (${describeNetworkError(error)})`)
  })
  await response.body?.cancel()
  if (!response.ok) throw new Error(`RELAY_ALERT_URL responded with ${response.status}`)
}

/** Escapes characters that Slack reads as markup, such as `<!channel>`. */
const escapeForSlack = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
