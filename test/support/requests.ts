import { createHmac } from 'node:crypto'
import type { JsonObject } from '../../port/types.ts'
import type { GitHubApi, GitHubRun } from '../../simulator/github/github.ts'

// What Port, GitHub, and administrators send to a relay.

export const SECRET = 'test-client-secret-0123456789abcdef'

/** Signs as Port does: `v1,` + base64(HMAC-SHA256(secret, timestamp + "." + body)). */
export function sign(timestamp: string, body: Uint8Array | string, secret = SECRET): string {
  return `v1,${createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest('base64')}`
}

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

/** Returns the content of GitHub's `workflow_run` webhook for a run's current state. */
export const runWebhook = (run: GitHubRun, serverUrl: string) => ({
  action: run.status === 'completed' ? 'completed' : 'in_progress',
  repository: { full_name: run.repository },
  workflow_run: {
    ...{ id: run.id, run_attempt: run.runAttempt, workflow_id: run.workflowId, event: run.event },
    ...{ display_title: run.displayTitle, status: run.status, conclusion: run.conclusion },
    html_url: `${serverUrl}/${run.repository}/actions/runs/${run.id}`,
    ...{ created_at: run.createdAt, updated_at: run.updatedAt },
  },
})

/** Returns the request of a GitHub webhook, signed with GITHUB_WEBHOOK_SECRET. */
export function gitHubRequest(event: string, webhook: object, secret: string) {
  const body = JSON.stringify(webhook)
  const signature = createHmac('sha256', secret).update(body).digest('hex')
  const headers = { 'x-github-event': event, 'x-hub-signature-256': `sha256=${signature}` }
  return { method: 'POST', body, headers }
}

/** Sends GitHub's `workflow_run` webhook for a run's current state. */
export const sendRunWebhook = (
  relayUrl: string,
  run: GitHubRun,
  { github, secret }: { github: Pick<GitHubApi, 'serverUrl'>; secret: string },
) => sendGitHubWebhook(relayUrl, 'workflow_run', runWebhook(run, github.serverUrl), secret)

export async function sendGitHubWebhook(relayUrl: string, event: string, webhook: object, secret: string) {
  const response = await fetch(`${relayUrl}/github`, gitHubRequest(event, webhook, secret))
  return response.json()
}

export const ADMIN_TOKEN = 'an-admin-token-of-some-length'
export const VIEW_TOKEN = 'a-view-token-of-some-length'

/** Sends a request with the admin token. */
export const asAdmin = (address: string, init: RequestInit = {}) =>
  fetch(address, { ...init, headers: { authorization: `Bearer ${ADMIN_TOKEN}` } })

/** Signs in on the dashboard. Returns the cookie of the session. */
export async function signIn(relayUrl: string, token = ADMIN_TOKEN): Promise<string> {
  const body = new URLSearchParams({ token })
  const response = await fetch(`${relayUrl}/sign-in`, { method: 'POST', body, redirect: 'manual' })
  return response.headers.get('set-cookie')!.split(';')[0]!
}

/** Returns a page of the dashboard, as HTML. */
export const readPage = async (address: string, cookie: string) =>
  (await fetch(address, { headers: { cookie } })).text()
