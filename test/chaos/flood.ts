import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { encryptWith } from '../action/encrypt.ts'
import { gitHubRequest, SECRET, send } from '../support/requests.ts'
import { createCounter, honest, memoryOf, releasedSince, runAttacker, startAttacker } from './attacker.ts'
import { startDelivery, startReport } from './report-attack.ts'
import { AUDIENCE, GITHUB_SECRET, MEASURED, REPOSITORY, type System, withSystem } from './system.ts'

/** Node's default heap in a 512 MB container: half the memory. */
const HEAP = '--max-old-space-size=256'
const ENCRYPTED = 200
/** RELAY_MAX_BODY (bytes). Because the value is small, the memory for arriving bodies is soon used up. */
const MAX_BODY = 65_536

/** Each flood, and the responses that prove that the relay received the flood. */
export const FLOODS = {
  /** Connections that send many requests and never read the responses. */
  pipelined: ['closed'],
  /** Requests for encrypted inputs. */
  inputs: [200, 429],
  /** Slow and unauthenticated senders of endless bodies, on every route that accepts a body. */
  bodies: [401, 403, 503],
} as const
type FloodName = keyof typeof FLOODS

interface Target {
  name: FloodName
  url: string
  /** A delivery with encrypted inputs, and a token for its reports. */
  delivery: string
  reportToken: string
  senders: Sender[]
}

/** Sends endless bodies, each on its own connection. Reopens each connection that the relay closes. */
interface Sender {
  connections: number
  bytesPerSecond: number
  length: number
  head: string
}

/** Runs one flood alongside honest webhooks. */
export function flood(name: FloodName, { database, seconds }: { database: string; seconds: number }) {
  const withBodies = name === 'bodies'
  const env = { LOG_LEVEL: 'fatal', ...(withBodies && { RELAY_MAX_BODY: `${MAX_BODY}b` }) }
  const flags = [HEAP, ...MEASURED]
  return withSystem({ database, connected: true, runs: 'none', flags, env }, async system => {
    const { relay } = system
    await relay.start()
    const honestSenders = (end: number) =>
      Promise.all([
        honest(end, 50, n => send(relay.url, { body: { n, end } }), 202),
        honest(end, 100, () => fetch(`${relay.url}/healthz`), 200),
        ...(withBodies ? othersTo(system, end) : []),
      ])
    if (withBodies) await honestSenders(performance.now() + 1_000)
    const before = await memoryOf(relay)
    const attacker = startAttacker<Record<string, number>>(import.meta.url, await aim(system, name))
    try {
      const served = await honestSenders(performance.now() + seconds * 1_000)
      attacker.stop()
      const status = readFileSync(`/proc/${relay.pid}/status`, 'utf8')
      const peakRssMb = Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1e3)
      const result = { served, responses: await attacker.result(), peakRssMb }
      return { ...result, memory: withBodies ? await releasedSince(before, relay) : null }
    } finally {
      await attacker.terminate()
    }
  })
}

/** Sends GitHub webhooks, and reports for a delivery that doesn't exist: 403 proves that the relay read the report. */
function othersTo({ relay, issuer }: System, end: number) {
  const token = () => issuer.token({ repository: REPOSITORY, repositoryId: 1, runId: 2 }, AUDIENCE)
  const report = () => {
    const headers = { authorization: `Bearer ${token()}` }
    return fetch(`${relay.url}/report/start`, { method: 'POST', headers, body: '{"delivery":"none"}' })
  }
  const ping = (n: number) => gitHubRequest('ping', { zen: 'Keep it logically awesome.', n }, GITHUB_SECRET)
  return [honest(end, 100, n => fetch(`${relay.url}/github`, ping(n)), 202), honest(end, 100, report, 403)]
}

function sendersTo({ issuer }: System): Sender[] {
  const token = issuer.token({ repository: 'mallory/own', repositoryId: 99, runId: 1 }, AUDIENCE)
  const timestamp = `x-port-timestamp: ${Math.floor(Date.now() / 1000)}`
  const sender = (
    connections: number,
    bytesPerSecond: number,
    length: number,
    ...[path, ...lines]: string[]
  ) => {
    const all = ['host: x', `content-length: ${length}`, ...lines, '', '']
    return { connections, bytesPerSecond, length, head: `POST ${path} HTTP/1.1\r\n${all.join('\r\n')}` }
  }
  return [
    // At this rate, 65 senders exhaust the memory for arriving bodies within a second.
    sender(65, 40_000, MAX_BODY, '/webhook', timestamp, 'x-port-signature: v1,x'),
    sender(4, 20e6, 20e6, '/github'),
    sender(4, 1e6, 20e6, '/github', `x-hub-signature-256: sha256=${'0'.repeat(64)}`),
    sender(66, 20e3, 2e5, '/report/start', `authorization: Bearer ${token}`),
  ]
}

async function aim(system: System, name: FloodName): Promise<Target> {
  const { url } = system.relay
  const target = {
    name,
    url,
    delivery: '',
    reportToken: '',
    senders: name === 'bodies' ? sendersTo(system) : [],
  }
  if (name !== 'inputs') return target
  const secrets = Array.from({ length: ENCRYPTED }, (_, n) => `secret_${n}`)
  const inputs = Object.fromEntries(secrets.map(each => [each, encryptWith(SECRET, each)]))
  const action = { identifier: 'deploy', encryptedProperties: secrets }
  const { delivery, token } = await startDelivery(system, { action, inputs })
  return { ...target, delivery, reportToken: await startReport(url, delivery, token) }
}

await runAttacker<Target>(import.meta.url, async ({ name, url, delivery, reportToken, senders }, signal) => {
  const { responses, count, has } = createCounter()
  const isDone = () => signal.aborted && has(FLOODS[name])
  const repeat = async (parallel: number, one: () => Promise<unknown>) => {
    const sender = async () => {
      while (!isDone()) await one()
    }
    await Promise.all(Array.from({ length: parallel }, sender))
  }
  const askForInputs = async () => {
    const headers = { authorization: `Bearer ${reportToken}` }
    const body = JSON.stringify({ delivery })
    const response = await fetch(`${url}/report/inputs`, { method: 'POST', body, headers }).catch(() => null)
    await response?.arrayBuffer().catch(() => {})
    count(response?.status ?? 'none')
    if (response?.status !== 200) await sleep(10)
  }
  const floods: Record<FloodName, () => Promise<unknown>> = {
    pipelined: () => repeat(100, async () => count(await pipeline(url))),
    inputs: () => repeat(20, askForInputs),
    bodies: () =>
      Promise.all(
        senders.map(each => repeat(each.connections, async () => count(await drip(url, each, isDone)))),
      ),
  }
  await floods[name]()
  return responses
})

/** Sends all bytes of a body except the last one, and waits until the relay closes the connection. @returns the response's status */
async function drip(url: string, { head, length, bytesPerSecond }: Sender, isDone: () => boolean) {
  const socket: Socket = connect(Number(new URL(url).port), '127.0.0.1')
  let response = ''
  socket.on('error', () => {}).on('data', data => (response += data.toString('latin1')))
  const closed = once(socket, 'close').catch(() => {})
  socket.write(head)
  const step = Buffer.alloc(Math.max(1, Math.floor(bytesPerSecond / 20)), '[')
  for (let sent = 0; !isDone() && !socket.destroyed && !socket.readableEnded; await sleep(50)) {
    if (sent >= length - 1 || socket.writableLength >= 1e6) continue
    socket.write(step.subarray(0, Math.min(step.length, length - 1 - sent)))
    sent += step.length
  }
  socket.destroy()
  await closed
  await sleep(50)
  return /^HTTP\/1\.1 (\d{3})/.exec(response)?.[1] ?? 'none'
}

/** Opens a connection that sends 1,500 requests and never reads. @returns how the connection ended */
async function pipeline(url: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {})
  const closed = new Promise<string>(resolve => socket.once('close', () => resolve('closed')))
  await once(socket, 'connect').catch(() => {})
  socket.pause().write('POST /webhook HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(1_500))
  const result = await Promise.race([closed, sleep(5_000, 'open')])
  socket.destroy()
  return result
}
