/**
 * `node test/attack/intake.ts [SECONDS]`: slow and foreign senders against every route that takes a body, on
 * both stores, while honest senders go on. Exit 0 only if at least 99 % of the honest requests of each kind are
 * served within a second, `/healthz` answers within 200 ms, and the memory returns afterwards.
 */
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { type OidcIssuer, startOidcIssuer } from '../../tools/simulator/github/oidc-issuer.ts'
import { prepareRelay } from '../faults/relay-process.ts'
import { freePort } from '../support/free-port.ts'
import { startPostgres } from '../support/postgres.ts'
import { send } from '../support/send.ts'
import { SECRET } from '../support/sign.ts'
import { honest, memoryOf, type Served } from './honest.ts'

const MEMORY = join(import.meta.dirname, 'memory.ts')
/** What a relay may hold more after an attack than before it, MB. */
export const MAY_STAY_MB = 20
const GITHUB_SECRET = 'the secret of the GitHub webhook'

export interface Siege {
  webhooks: Served
  github: Served
  reports: Served
  health: Served
  /** Answers that the attackers got, by status; `none` where the connection was cut. */
  attackers: Record<string, number>
  /** Held by JavaScript and its buffers after a garbage collection, MB. */
  heldMb: { before: number; after: number }
}

export interface SiegeOptions {
  database: string
  seconds: number
  /** RELAY_MAX_BODY: the budget of slow bodies is a multiple of it, so a small one fills sooner. */
  maxBody: number
  slow: { connections: number; bytesPerSecond: number }
}

/** Plays the attack for this long, and counts. */
export async function besiege(options: SiegeOptions): Promise<Siege> {
  const { database, seconds, maxBody, slow } = options
  const [issuer, port] = await Promise.all([startOidcIssuer(), freePort()])
  const audience = `http://127.0.0.1:${port}`
  const env = {
    PORT_CLIENT_SECRET: SECRET,
    GITHUB_TOKEN: 'github_pat_none',
    GITHUB_API_URL: 'http://127.0.0.1:9',
    GITHUB_WEBHOOK_SECRET: GITHUB_SECRET,
    GITHUB_OIDC_ISSUER: issuer.url,
    RELAY_REPOSITORY: 'acme/shop',
    RELAY_PUBLIC_URL: audience,
    RELAY_DATABASE: database,
    RELAY_MAX_BODY: `${maxBody}b`,
    LOG_LEVEL: 'fatal',
  }
  const relay = await prepareRelay(env, [], ['--expose-gc', '--import', MEMORY])
  try {
    await relay.start()
    const honestSenders = (until: number) =>
      Promise.all([
        honest(until, 50, n => send(relay.url, { body: { n, until } }), 202),
        honest(until, 100, n => sendGitHub(relay.url, n), 202),
        honest(until, 100, () => sendReport(relay.url, issuer, audience), 403),
        honest(until, 100, () => fetch(`${relay.url}/healthz`), 200),
      ])
    await honestSenders(performance.now() + 1_000)
    const { held: before } = await memoryOf(relay)
    const foreign = { repository: 'mallory/own', repositoryId: 99, runId: 1 }
    const token = issuer.token(foreign, audience)
    const signature = `x-hub-signature-256: sha256=${'0'.repeat(64)}`
    const attackers: Attacker[] = [
      {
        count: slow.connections,
        bytesPerSecond: slow.bytesPerSecond,
        length: maxBody,
        head: webhookHead(maxBody),
      },
      { count: 4, bytesPerSecond: 20e6, length: 20e6, head: head('/github', 20e6) },
      { count: 4, bytesPerSecond: 1e6, length: 20e6, head: head('/github', 20e6, signature) },
      {
        count: 66,
        bytesPerSecond: 20e3,
        length: 2e5,
        head: head('/report/start', 2e5, `authorization: Bearer ${token}`),
      },
    ]
    const attack = new Worker(new URL(import.meta.url), {
      workerData: { port: Number(new URL(relay.url).port), attackers },
    })
    const [webhooks, github, reports, health] = await honestSenders(performance.now() + seconds * 1000)
    attack.postMessage('end')
    const [responses] = (await once(attack, 'message')) as [Siege['attackers']]
    let { held: after } = await memoryOf(relay)
    for (let n = 0; n < 20 && after - before > MAY_STAY_MB; n++) {
      await sleep(500)
      after = (await memoryOf(relay)).held
    }
    return { webhooks, github, reports, health, attackers: responses, heldMb: { before, after } }
  } finally {
    await relay.kill()
    await issuer.close()
  }
}

/** Bodies that never end, each on a connection of its own, and when that is cut on the next. */
interface Attacker {
  count: number
  head: string
  length: number
  bytesPerSecond: number
}

async function runAttackers(
  port: number,
  attackers: Attacker[],
  signal: AbortSignal,
): Promise<Siege['attackers']> {
  const responses: Siege['attackers'] = {}
  const one = async ({ head, length, bytesPerSecond }: Attacker) => {
    while (!signal.aborted) {
      const socket = connect(port, '127.0.0.1')
      let response = ''
      socket.on('error', () => {}).on('data', data => (response += data.toString('latin1')))
      const closed = once(socket, 'close').catch(() => {})
      socket.write(head)
      await drip(signal, socket, length - 1, bytesPerSecond)
      socket.destroy()
      await closed
      const status = /^HTTP\/1\.1 (\d{3})/.exec(response)?.[1] ?? 'none'
      responses[status] = (responses[status] ?? 0) + 1
      await sleep(50)
    }
  }
  await Promise.all(attackers.flatMap(attacker => times(attacker.count, () => one(attacker))))
  return responses
}

/** Writes in steps of 50 ms, until the other side hangs up; the last byte of the body never comes. */
async function drip(signal: AbortSignal, socket: Socket, length: number, bytesPerSecond: number) {
  const step = Buffer.alloc(Math.max(1, Math.floor(bytesPerSecond / 20)), '[')
  for (let sent = 0; !signal.aborted && !socket.destroyed && !socket.readableEnded; ) {
    if (sent < length && socket.writableLength < 1e6) {
      socket.write(step.subarray(0, Math.min(step.length, length - sent)))
      sent += step.length
    }
    await sleep(50)
  }
}

function sendGitHub(url: string, n: number): Promise<Response> {
  const body = JSON.stringify({ zen: 'Keep it logically awesome.', n })
  const signature = createHmac('sha256', GITHUB_SECRET).update(body).digest('hex')
  const headers = { 'x-github-event': 'ping', 'x-hub-signature-256': `sha256=${signature}` }
  return fetch(`${url}/github`, { method: 'POST', body, headers })
}

/** Of a delivery that does not exist: 403 says that the report was read and looked up. */
function sendReport(url: string, issuer: OidcIssuer, audience: string): Promise<Response> {
  const token = issuer.token({ repository: 'acme/shop', repositoryId: 1, runId: 2 }, audience)
  return fetch(`${url}/report/start`, {
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

const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make)

if (!isMainThread) {
  const end = new AbortController()
  parentPort?.once('message', () => end.abort())
  parentPort?.postMessage(await runAttackers(workerData.port, workerData.attackers, end.signal))
} else if (import.meta.main) {
  const seconds = Number(process.argv[2] ?? 60)
  const server = await startPostgres()
  const folder = mkdtempSync(join(tmpdir(), 'siege-'))
  const databases = {
    SQLite: `sqlite:${join(folder, 'relay.db')}`,
    PostgreSQL: await server.createDatabase(),
  }
  for (const [kind, database] of Object.entries(databases)) {
    const slow = { connections: 65, bytesPerSecond: 37_000 }
    const siege = await besiege({ database, seconds, maxBody: 1024 ** 2, slow })
    const { webhooks, github, reports, health, heldMb } = siege
    const good =
      [webhooks, github, reports].every(each => each.withinSecond >= each.sent * 0.99) &&
      health.served === health.sent &&
      health.worstMs <= 200 &&
      heldMb.after - heldMb.before <= MAY_STAY_MB
    console.log(`${kind}, ${seconds} s: ${good ? 'as it should be' : 'NOT AS IT SHOULD BE'}`)
    console.log(JSON.stringify(siege, null, 2))
    if (!good) process.exitCode = 1
  }
  await server.close()
  rmSync(folder, { recursive: true, force: true })
}
