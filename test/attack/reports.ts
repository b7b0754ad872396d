/**
 * `node test/attack/reports.ts [SECONDS]`: a workflow run reports without end, on both stores: small log lines in
 * parallel, and the largest reports while Port is away. The relay is restarted in the middle, and honest webhooks
 * go on. Exit 0 only if at least 99 % of the webhooks are accepted within a second, `/healthz` answers within
 * 200 ms, no line of an accepted report is lost uncounted, and the memory returns. The first round, without an
 * attack, shows what the machine itself allows.
 */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { startOidcIssuer } from '../../tools/simulator/github/oidc-issuer.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { type PortApi, type PortRun, startPortApi } from '../../tools/simulator/port/port.ts'
import { prepareRelay, type RelayProcess } from '../faults/relay-process.ts'
import { startPostgres } from '../support/postgres.ts'
import { sendRunWebhook } from '../support/run-webhook.ts'
import { send } from '../support/send.ts'
import { honest, memoryOf, type Served } from './honest.ts'

const MEMORY = join(import.meta.dirname, 'memory.ts')
const REPOSITORY = 'acme/shop'
const GITHUB_SECRET = 'the secret of the GitHub webhook'
const AUDIENCE = 'https://relay.example'
/** What a relay may hold more after an attack than before it, MB. */
export const HELD_MAY_STAY_MB = 20
/** RSS is bounded, and does not return: V8 keeps the space for new objects that any load has made it take. */
export const MOST_RSS_MB = 512

export const ATTACKS = {
  'small lines': { parallel: 100, lines: 500, width: 1, count: Number.POSITIVE_INFINITY, isPortAway: false },
  'large reports': { parallel: 16, lines: 30, width: 7_940, count: 2_000, isPortAway: true },
} satisfies Record<string, Attack>

interface Attack {
  /** Reports that are under way at once. */
  parallel: number
  /** Log lines of a report, each a message of its own, and the characters of each. */
  lines: number
  width: number
  /** Reports in all. */
  count: number
  isPortAway: boolean
}

export interface ReportSiege {
  webhooks: Served
  health: Served
  /** Ids of the Port runs whose webhooks were accepted and that GitHub did not get exactly once. */
  notDispatchedOnce: string[]
  /** Answers to the attacker's reports, by status; `none` where the connection was cut. */
  responses: Record<string, number>
  /** Of the reports that were accepted. `missing`: neither in Port's log nor counted there as left out. */
  lines: { accepted: number; arrived: number; twice: number; missing: number }
  memoryMb: { before: Memory; peakRss: number; after: Memory }
  /** How long the relay's event loop was held at a stretch, at most, milliseconds of the CPU. */
  relayHeldMs: number
  /** How long this process itself was busy at a time, at most: part of every time above. */
  ownDelayMs: number
  /** Since the end of the attack and, where it was away, since Port's return. */
  drainedAfterMs: number
}

interface Memory {
  held: number
  rss: number
}

export interface ReportSiegeOptions {
  database: string
  seconds: number
  attack: Attack
  /** Node's, of the relay. */
  flags?: string[]
}

/** Plays the attack for this long, and counts. */
export async function besiegeReports(options: ReportSiegeOptions): Promise<ReportSiege> {
  const { database, seconds, attack, flags = [] } = options
  const world = await openWorld(database, flags)
  const { relay, port, github } = world
  const accepted: string[] = []
  const honestSenders = (ms: number) => {
    const end = performance.now() + ms
    return Promise.all([
      honest(end, 50, () => sendWebhook(relay, port, accepted), 202),
      honest(end, 100, () => fetch(`${relay.url}/healthz`), 200),
    ])
  }
  let attacker: Worker | undefined
  try {
    await relay.start()
    await honestSenders(1_000)
    const { delivery, token, portRun } = await bindRun(world)
    const { heldMs: _, ...before } = await memoryOf(relay)
    if (attack.isPortAway) await port.stop()
    const peak = watchRss(relay)
    const ownDelay = monitorEventLoopDelay({ resolution: 10 })
    ownDelay.enable()
    attacker = new Worker(new URL(import.meta.url), {
      workerData: { url: relay.url, token, delivery, attack } satisfies Attacker,
    })
    const attacked = once(attacker, 'message') as Promise<[Attacked]>
    const half = (seconds * 1000) / 2
    const first = await honestSenders(half)
    const { heldMs: heldBefore } = await memoryOf(relay)
    // The honest senders wait; the attacker does not.
    if ((await relay.stop()) !== 0) throw new Error(`The relay did not stop as it should: ${relay.printed()}`)
    await relay.start()
    // What the start takes is not counted.
    await memoryOf(relay)
    const second = await honestSenders(half)
    if (!relay.running()) throw new Error(`The relay ended: ${relay.printed()}`)
    // A number of reports is sent whole, however long it takes.
    if (attack.count === Number.POSITIVE_INFINITY) attacker.postMessage('end')
    const [{ responses, numbers }] = await attacked
    const peakRss = peak()
    ownDelay.disable()

    await port.start()
    const began = performance.now()
    const expected = new Set(numbers.flatMap(n => times(attack.lines, line => nameOf(n, line))))
    const all = () => linesOf(portRun, expected)
    await until(() => all().missing === 0, 'Port gets the lines', 180_000).catch(() => {})
    const drainedAfterMs = Math.round(performance.now() - began)
    const dispatches = () => github.dispatches.map(each => String(each.clientPayload.run_id))
    await until(() => accepted.every(id => dispatches().includes(id)), 'GitHub gets all', 60_000).catch(
      () => {},
    )
    let { heldMs, ...after } = await memoryOf(relay)
    for (let n = 0; n < 20 && !hasReturned(before, after); n++) {
      await sleep(500)
      const { held, rss } = await memoryOf(relay)
      after = { held, rss }
    }
    return {
      webhooks: sum(first[0], second[0]),
      health: sum(first[1], second[1]),
      notDispatchedOnce: accepted.filter(id => dispatches().filter(each => each === id).length !== 1),
      responses,
      lines: all(),
      memoryMb: { before, peakRss, after },
      relayHeldMs: Math.max(heldBefore, heldMs),
      ownDelayMs: Math.round(ownDelay.max / 1e6),
      drainedAfterMs,
    }
  } finally {
    await attacker?.terminate()
    await world.close()
  }
}

/** A relay that is not running yet, with the flags of Node's, and what it talks to. */
export async function openWorld(database: string, flags: string[]) {
  const [port, github, issuer] = await Promise.all([startPortApi(), startGitHubApi(), startOidcIssuer()])
  const { id: repositoryId } = github.addRepository(REPOSITORY)
  const env = {
    PORT_API_URL: port.url,
    PORT_CLIENT_ID: port.clientId,
    PORT_CLIENT_SECRET: port.clientSecret,
    GITHUB_API_URL: github.url,
    GITHUB_TOKEN: github.token,
    GITHUB_OIDC_ISSUER: issuer.url,
    RELAY_REPOSITORY: REPOSITORY,
    RELAY_PUBLIC_URL: AUDIENCE,
    RELAY_DATABASE: database,
    RELAY_DISPATCH_RATE: '0',
    GITHUB_WEBHOOK_SECRET: GITHUB_SECRET,
    LOG_LEVEL: 'fatal',
  }
  const relay = await prepareRelay(env, [], ['--expose-gc', '--import', MEMORY, ...flags])
  return {
    ...{ port, github, issuer, repositoryId, relay },
    async close() {
      await relay.kill()
      await Promise.all([port.close(), github.close(), issuer.close()])
    },
  }
}
export type World = Awaited<ReturnType<typeof openWorld>>

const hasReturned = (before: Memory, after: Memory) => after.held - before.held <= HELD_MAY_STAY_MB

async function sendWebhook(relay: RelayProcess, port: PortApi, accepted: string[]) {
  const { id } = port.createRun({ action: 'deploy' })
  const body = { run: { id }, action: { identifier: 'deploy' }, inputs: { version: '1.4.2' } }
  const response = await send(relay.url, { secret: port.clientSecret, body })
  if (response.status === 202) accepted.push(id)
  return response
}

/** A delivery whose workflow run has proved itself: its report token. */
async function bindRun(world: World) {
  const { delivery, runId, tokens } = await startDelivery(world, 1)
  const { token } = await postStart(world.relay.url, delivery, tokens[0] ?? '')
  return { delivery, token, portRun: world.port.run(runId) }
}

/**
 * A delivery that was dispatched, and the OIDC tokens of so many workflow runs whose titles name it.
 *
 * @param options.isSeen GitHub's webhooks have shown the runs to the relay
 */
export async function startDelivery(
  world: World,
  runs: number,
  { more = {}, isSeen = false }: { more?: object; isSeen?: boolean } = {},
) {
  const { relay, port, github, issuer, repositoryId } = world
  const { id } = port.createRun({ action: 'deploy' })
  const body = { run: { id }, action: { identifier: 'deploy' }, inputs: {}, ...more }
  const response = await send(relay.url, { secret: port.clientSecret, body })
  await until(
    () => github.dispatches.some(each => each.clientPayload.run_id === id),
    'GitHub gets the dispatch',
  )
  const tokens: string[] = []
  for (let n = 0; n < runs; n++) {
    const run = github.createRun({
      ...{ repository: REPOSITORY, displayTitle: id, event: 'repository_dispatch', status: 'in_progress' },
    })
    if (isSeen) await sendRunWebhook(relay.url, run, { github, secret: GITHUB_SECRET })
    tokens.push(issuer.token({ repository: REPOSITORY, repositoryId, runId: run.id }, AUDIENCE))
  }
  return { delivery: String(response.body.delivery), runId: id, tokens }
}

/** @returns the report token */
export async function postStart(
  url: string,
  delivery: string,
  oidcToken: string,
): Promise<{ token: string }> {
  const response = await fetch(`${url}/report/start`, {
    method: 'POST',
    headers: { authorization: `Bearer ${oidcToken}` },
    body: JSON.stringify({ delivery }),
  })
  const { token, detail } = (await response.json()) as { token?: string; detail?: string }
  if (token === undefined) throw new Error(`The start was answered ${response.status}: ${detail}`)
  return { token }
}

/** What the attacker wrote in Port's log. */
function linesOf(portRun: PortRun, expected: ReadonlySet<string>): ReportSiege['lines'] {
  const written = portRun.logs.flatMap(log => log.message.split('\n'))
  const names = written.flatMap(line => /^\d+\.\d+(?= )/.exec(line) ?? [])
  const arrived = new Set(names)
  const leftOut = written.reduce(
    (sum, line) => sum + Number(/^… (\d+) lines? may be missing/.exec(line)?.[1] ?? 0),
    0,
  )
  const lost = [...expected].filter(name => !arrived.has(name)).length
  return {
    accepted: expected.size,
    arrived: arrived.size,
    twice: names.length - arrived.size,
    missing: Math.max(0, lost - leftOut),
  }
}

const sum = (a: Served, b: Served): Served => ({
  sent: a.sent + b.sent,
  served: a.served + b.served,
  withinSecond: a.withinSecond + b.withinSecond,
  worstMs: Math.max(a.worstMs, b.worstMs),
  others: { ...a.others, ...b.others },
})

/** The highest RSS so far, MB; 0 where there is no /proc. */
function watchRss(relay: RelayProcess): () => number {
  let peak = 0
  const timer = setInterval(() => {
    try {
      const [, kb = 0] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${relay.pid}/status`, 'utf8')) ?? []
      peak = Math.max(peak, Math.round(Number(kb) / 1e3))
    } catch {} // Between two lives of the relay.
  }, 200)
  return () => {
    clearInterval(timer)
    return peak
  }
}

interface Attacker {
  url: string
  token: string
  delivery: string
  attack: Attack
}

/** `numbers`: of the reports that were accepted. */
interface Attacked {
  responses: ReportSiege['responses']
  numbers: number[]
}

async function runAttacker(
  { url, token, delivery, attack }: Attacker,
  signal: AbortSignal,
): Promise<Attacked> {
  const responses: Attacked['responses'] = {}
  const numbers: number[] = []
  const fill = 'x'.repeat(attack.width)
  let next = 1
  const post = (body: string) =>
    fetch(`${url}/report`, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body }).then(
      async response => {
        await response.text()
        return response.status
      },
      () => 'none' as const,
    )
  const one = async (sender: string) => {
    while (!signal.aborted && next <= attack.count) {
      const number = next++
      const reports = times(attack.lines, line => ({
        log: [{ level: 'INFO', message: `${nameOf(number, line)} ${fill}` }],
      }))
      const body = JSON.stringify({ delivery, sender, number, reports })
      // What is not answered is sent again, as the action does.
      for (let status = await post(body); ; status = await post(body)) {
        responses[status] = (responses[status] ?? 0) + 1
        if (status === 202) numbers.push(number)
        if (status !== 'none' || signal.aborted) break
        await sleep(50)
      }
    }
  }
  await Promise.all(times(attack.parallel, n => one(`sender-${n}`)))
  return { responses, numbers }
}

/** Of a line: how it is found in Port's log. */
const nameOf = (number: number, line: number) => `${number}.${line}`

const times = <T>(count: number, make: (n: number) => T): T[] =>
  Array.from({ length: count }, (_, n) => make(n))

if (!isMainThread && workerData?.attack) {
  const end = new AbortController()
  parentPort?.once('message', () => end.abort())
  parentPort?.postMessage(await runAttacker(workerData, end.signal))
} else if (import.meta.main) {
  const seconds = Number(process.argv[2] ?? 60)
  const server = await startPostgres()
  const folder = mkdtempSync(join(tmpdir(), 'siege-'))
  const rounds = { 'no attack': { ...ATTACKS['small lines'], count: 0 }, ...ATTACKS }
  for (const [name, attack] of Object.entries(rounds)) {
    for (const kind of ['SQLite', 'PostgreSQL']) {
      const database =
        kind === 'SQLite' ? `sqlite:${join(folder, `${name}.db`)}` : await server.createDatabase()
      const siege = await besiegeReports({ database, seconds, attack })
      const { webhooks, health, notDispatchedOnce, lines, memoryMb } = siege
      const good =
        webhooks.withinSecond >= webhooks.sent * 0.99 &&
        health.served === health.sent &&
        health.worstMs <= 200 &&
        notDispatchedOnce.length === 0 &&
        lines.missing === 0 &&
        hasReturned(memoryMb.before, memoryMb.after) &&
        Math.max(memoryMb.peakRss, memoryMb.after.rss) <= MOST_RSS_MB
      console.log(`${name}, ${kind}, ${seconds} s: ${good ? 'as it should be' : 'NOT AS IT SHOULD BE'}`)
      console.log(JSON.stringify(siege))
      if (!good) process.exitCode = 1
    }
  }
  await server.close()
  rmSync(folder, { recursive: true, force: true })
}
