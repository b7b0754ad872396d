/**
 * `node test/attack/floods.ts [SECONDS]`: five floods, each next to honest webhooks, on both stores, in a relay with the
 * heap that Node chooses in a container of 512 MB. Exit 0 only if at least 99 % of the webhooks are accepted within a
 * second, the relay stays below 512 MB, and at most one run may report for a delivery.
 */

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { encryptWith } from '../action/encrypt.ts'
import { startPostgres } from '../support/postgres.ts'
import { send } from '../support/send.ts'
import { honest, memoryOf, type Served } from './honest.ts'
import { MOST_RSS_MB, openWorld, postStart, startDelivery, type World } from './reports.ts'

/** Half of the memory of a container of 512 MB. */
const HEAP = '--max-old-space-size=256'
const ENCRYPTED = 200
/** Deliveries whose runs start their reports, and how many runs name each. */
const DELIVERIES = 30
const RUNS = 6

/**
 * Many runs start their reports for one delivery at once; connections with many requests, which nobody reads; requests
 * for encrypted inputs; unsigned webhooks of GitHub; signed webhooks of a megabyte with many keys.
 */
export const FLOODS = ['starts', 'pipelined', 'inputs', 'unsigned', 'keys'] as const
type FloodName = (typeof FLOODS)[number]

/** What a flood is aimed at; `tokens`: OIDC tokens of runs that could each be the delivery's. */
interface Target {
  url: string
  secret: string
  deliveries: { delivery: string; tokens: string[] }[]
  reportToken: string
}

interface Flooded {
  /** By status; `none` where the connection was closed. */
  responses: Record<string, number>
  /** Of the deliveries: how many runs may report for one, at most. */
  runsOfOne: number
}

export interface Flood extends Flooded {
  webhooks: Served
  health: Served
  peakRssMb: number
  /** How long the relay's event loop was held at a stretch, at most, milliseconds of the CPU. */
  heldMs: number
  /** How long this process was busy at a time, at most: part of every time above. */
  ownDelayMs: number
}

const isGood = ({ webhooks, runsOfOne, peakRssMb }: Flood) =>
  webhooks.withinSecond >= webhooks.sent * 0.99 && runsOfOne <= 1 && peakRssMb <= MOST_RSS_MB

export async function flood(
  name: FloodName,
  { database, seconds }: { database: string; seconds: number },
): Promise<Flood> {
  const world = await openWorld(database, [HEAP])
  const { relay, port } = world
  let attacker: Worker | undefined
  try {
    await relay.start()
    const target = await aim(world, name)
    await memoryOf(relay)
    attacker = new Worker(new URL(import.meta.url), { workerData: { name, target } })
    const ownDelay = monitorEventLoopDelay({ resolution: 10 })
    ownDelay.enable()
    const ended = once(attacker, 'message') as Promise<[Flooded]>
    const until = performance.now() + seconds * 1_000
    const [webhooks, health] = await Promise.all([
      honest(until, 50, n => send(relay.url, { secret: port.clientSecret, body: { n, until } }), 202),
      honest(until, 100, () => fetch(`${relay.url}/healthz`), 200),
    ])
    if (!relay.running()) throw new Error(`The relay ended: ${relay.printed()}`)
    attacker.postMessage('end')
    const [flooded] = await ended
    const status = readFileSync(`/proc/${relay.pid}/status`, 'utf8')
    const { heldMs } = await memoryOf(relay)
    const peakRssMb = Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1e3)
    const ownDelayMs = Math.round(ownDelay.max / 1e6)
    return { webhooks, health, ...flooded, peakRssMb, heldMs, ownDelayMs }
  } finally {
    await attacker?.terminate()
    await world.close()
  }
}

async function aim(world: World, name: FloodName): Promise<Target> {
  const secrets = Array.from({ length: ENCRYPTED }, (_, n) => `secret_${n}`)
  const encrypt = (each: string) => [each, encryptWith(world.port.clientSecret, each)]
  const action = { identifier: 'deploy', encryptedProperties: secrets }
  const more = name === 'inputs' ? { action, inputs: Object.fromEntries(secrets.map(encrypt)) } : {}
  const count = { starts: DELIVERIES, inputs: 1, pipelined: 0, unsigned: 0, keys: 0 }[name]
  const deliveries: Target['deliveries'] = []
  for (let n = 0; n < count; n++)
    deliveries.push(await startDelivery(world, name === 'starts' ? RUNS : 1, { more, isSeen: n % 2 === 0 }))
  const [first] = deliveries
  const isBound = name === 'inputs' && first !== undefined
  const reportToken = isBound
    ? (await postStart(world.relay.url, first.delivery, first.tokens[0] ?? '')).token
    : ''
  return { url: world.relay.url, secret: world.port.clientSecret, deliveries, reportToken }
}

async function runFlood(name: FloodName, target: Target, signal: AbortSignal): Promise<Flooded> {
  const { url, secret, deliveries, reportToken } = target
  const responses: Flooded['responses'] = {}
  const accepted = deliveries.map(() => new Set<string>())
  const count = (status: number | string) => {
    responses[status] = (responses[status] ?? 0) + 1
  }
  const post = (path: string, body: string, headers: Record<string, string> = {}) =>
    fetch(url + path, { method: 'POST', body, headers }).then(
      async response => {
        await response.arrayBuffer()
        count(response.status)
        return response.status
      },
      () => count('none'),
    )
  const again = async (parallel: number, one: (n: number) => Promise<unknown>) => {
    let n = 0
    const sender = async () => {
      while (!signal.aborted) await one(n++)
    }
    await Promise.all(Array.from({ length: parallel }, sender))
  }
  // One of them has more keys than the relay reads.
  const bodies = name === 'keys' ? [19_998, 78_000].map(manyKeys) : []
  const floods: Record<FloodName, () => Promise<void>> = {
    // Each delivery's runs start at once; once all have, the later ones are refused.
    starts: () =>
      again(1, async n => {
        const { delivery, tokens } = deliveries[n % deliveries.length] as Target['deliveries'][number]
        const start = async (token: string) => {
          const status = await post('/report/start', JSON.stringify({ delivery }), bearer(token))
          if (status === 200) accepted[n % deliveries.length]?.add(token)
        }
        await Promise.all(tokens.map(start))
      }),
    pipelined: () => again(100, async () => count(await pipeline(url, signal))),
    inputs: () =>
      again(20, async () => {
        const body = JSON.stringify({ delivery: deliveries[0]?.delivery })
        if ((await post('/report/inputs', body, bearer(reportToken))) !== 200) await sleep(10)
      }),
    unsigned: () => again(20, () => post('/github', '{}')),
    keys: () =>
      again(2, async n => {
        const body = Buffer.from(bodies[n % 2]?.replaceAll('r_N', `r_${n}`) ?? '')
        const response = await send(url, { secret, body }).catch(() => null)
        count(response?.status ?? 'none')
        await sleep(100)
      }),
  }
  await floods[name]()
  return { responses, runsOfOne: Math.max(0, ...accepted.map(({ size }) => size)) }
}

/** A connection with 1,500 requests, which never reads; how it ended. */
async function pipeline(url: string, signal: AbortSignal): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {})
  const closed = once(socket, 'close').then(
    () => 'closed',
    () => 'closed',
  )
  await once(socket, 'connect').catch(() => {})
  socket.pause().write('POST /webhook HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(1_500))
  const ended = await Promise.race([closed, sleep(5_000, 'open', { signal }).catch(() => 'closed')])
  socket.destroy()
  return ended
}

/** A megabyte, spread over the places that are read. */
function manyKeys(count: number): string {
  const filler = 'x'.repeat(Math.max(1, Math.floor(900_000 / count) - 14))
  const part = (name: string) =>
    Object.fromEntries(Array.from({ length: count / 3 - 3 }, (_, n) => [name + n.toString(36), filler]))
  const runId = 'r_N'
  return JSON.stringify({
    port_payload: { ...part('a'), context: { runId, ...part('b') }, payload: { properties: {} } },
    port_context: { runId, ...part('c') },
  })
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

if (!isMainThread && workerData?.target) {
  const end = new AbortController()
  parentPort?.once('message', () => end.abort())
  parentPort?.postMessage(await runFlood(workerData.name, workerData.target, end.signal))
} else if (import.meta.main) {
  const seconds = Number(process.argv[2] ?? 60)
  const server = await startPostgres()
  const folder = mkdtempSync(join(tmpdir(), 'flood-'))
  for (const name of FLOODS) {
    for (const kind of ['SQLite', 'PostgreSQL']) {
      const database =
        kind === 'SQLite' ? `sqlite:${join(folder, `${name}.db`)}` : await server.createDatabase()
      const result = await flood(name, { database, seconds })
      console.log(
        `${name}, ${kind}, ${seconds} s: ${isGood(result) ? 'as it should be' : 'NOT AS IT SHOULD BE'}`,
      )
      console.log(JSON.stringify(result))
      if (!isGood(result)) process.exitCode = 1
    }
  }
  await server.close()
  rmSync(folder, { recursive: true, force: true })
}
