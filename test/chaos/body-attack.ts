import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { gitHubRequest } from '../support/run-webhook.ts'
import { send } from '../support/send.ts'
import { createCounter, honest, memoryOf, releasedSince, runAttacker, startAttacker } from './attacker.ts'
import { AUDIENCE, GITHUB_SECRET, MEASURED, REPOSITORY, type System, withSystem } from './system.ts'

/** The responses that prove that the relay received the attack. */
export const REFUSALS = [401, 403, 503]

interface Options {
  database: string
  seconds: number
  /** RELAY_MAX_BODY (bytes). A small value also limits the memory for arriving bodies, which is exhausted sooner. */
  maxBody: number
  slow: { connections: number; bytesPerSecond: number }
}

/** Slow and unauthenticated senders attack every route that accepts a body, alongside honest senders. */
export function attackWithBodies({ database, seconds, maxBody, slow }: Options) {
  const env = { RELAY_MAX_BODY: `${maxBody}b`, LOG_LEVEL: 'fatal' }
  return withSystem({ database, connected: true, flags: MEASURED, env }, async system => {
    const { relay, issuer } = system
    await relay.start()
    const honestSenders = (end: number) =>
      Promise.all([
        honest(end, 50, n => send(relay.url, { body: { n, end } }), 202),
        honest(end, 100, n => sendGitHub(relay.url, n), 202),
        honest(end, 100, () => sendReport(system), 403),
        honest(end, 100, () => fetch(`${relay.url}/healthz`), 200),
      ])
    await honestSenders(performance.now() + 1_000)
    const before = await memoryOf(relay)
    const token = issuer.token({ repository: 'mallory/own', repositoryId: 99, runId: 1 }, AUDIENCE)
    const bearer = `authorization: Bearer ${token}`
    const signature = `x-hub-signature-256: sha256=${'0'.repeat(64)}`
    const senders: Sender[] = [
      { ...slow, length: maxBody, head: webhookHead(maxBody) },
      { connections: 4, bytesPerSecond: 20e6, length: 20e6, head: head('/github', 20e6) },
      { connections: 4, bytesPerSecond: 1e6, length: 20e6, head: head('/github', 20e6, signature) },
      { connections: 66, bytesPerSecond: 20e3, length: 2e5, head: head('/report/start', 2e5, bearer) },
    ]
    const attacker = startAttacker<Record<string, number>>(import.meta.url, { url: relay.url, senders })
    try {
      const served = await honestSenders(performance.now() + seconds * 1000)
      attacker.stop()
      const responses = await attacker.result()
      return { served, responses, memory: await releasedSince(before, relay) }
    } finally {
      await attacker.terminate()
    }
  })
}

/** Sends endless bodies, each on its own connection. Reopens each connection that the relay closes. */
interface Sender {
  connections: number
  head: string
  length: number
  bytesPerSecond: number
}

await runAttacker<{ url: string; senders: Sender[] }>(import.meta.url, async ({ url, senders }, signal) => {
  const { responses, count, has } = createCounter()
  const one = async ({ head, length, bytesPerSecond }: Sender) => {
    while (!signal.aborted || !has(REFUSALS)) {
      const socket = connect(Number(new URL(url).port), '127.0.0.1')
      let response = ''
      socket.on('error', () => {}).on('data', data => (response += data.toString('latin1')))
      const closed = once(socket, 'close').catch(() => {})
      socket.write(head)
      await drip(() => signal.aborted && has(REFUSALS), socket, length - 1, bytesPerSecond)
      socket.destroy()
      await closed
      count(/^HTTP\/1\.1 (\d{3})/.exec(response)?.[1] ?? 'none')
      await sleep(50)
    }
  }
  await Promise.all(senders.flatMap(sender => Array.from({ length: sender.connections }, () => one(sender))))
  return responses
})

/** Writes every 50 ms until the relay closes the connection; never sends the body's last byte. */
async function drip(isDone: () => boolean, socket: Socket, length: number, bytesPerSecond: number) {
  const step = Buffer.alloc(Math.max(1, Math.floor(bytesPerSecond / 20)), '[')
  for (let sent = 0; !isDone() && !socket.destroyed && !socket.readableEnded; ) {
    if (sent < length && socket.writableLength < 1e6) {
      socket.write(step.subarray(0, Math.min(step.length, length - sent)))
      sent += step.length
    }
    await sleep(50)
  }
}

function sendGitHub(url: string, n: number): Promise<Response> {
  const webhook = { zen: 'Keep it logically awesome.', n }
  return fetch(`${url}/github`, gitHubRequest('ping', webhook, GITHUB_SECRET))
}

/** Reports for a delivery that doesn't exist. Status 403 proves that the relay read the report. */
function sendReport({ relay, issuer }: System): Promise<Response> {
  const token = issuer.token({ repository: REPOSITORY, repositoryId: 1, runId: 2 }, AUDIENCE)
  return fetch(`${relay.url}/report/start`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: '{"delivery":"none"}',
  })
}

const webhookHead = (length: number) =>
  head('/webhook', length, `x-port-timestamp: ${Math.floor(Date.now() / 1000)}`, 'x-port-signature: v1,x')

function head(path: string, length: number, ...lines: string[]): string {
  const all = ['host: x', `content-length: ${length}`, ...lines]
  return `POST ${path} HTTP/1.1\r\n${all.map(line => `${line}\r\n`).join('')}\r\n`
}
