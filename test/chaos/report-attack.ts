import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../simulator/http-server.ts'
import type { PortRun } from '../../simulator/port/port.ts'
import { GITHUB_RUN_ID, startSystem } from '../reports/open-stage.ts'
import { startRelay } from '../support/relay.ts'
import { send } from '../support/requests.ts'
import { createCounter, honest, memoryOf, releasedSince, runAttacker, startAttacker } from './attacker.ts'
import { AUDIENCE, MEASURED, REPOSITORY, type System, withSystem } from './system.ts'

const ENDLESS = Number.POSITIVE_INFINITY
const LARGE = { parallel: 16, lines: 30, width: 7_940, count: ENDLESS, isPortDown: false }
export const ATTACKS = {
  'small lines': { parallel: 100, lines: 500, width: 1, count: 20, isPortDown: false },
  'large reports': { ...LARGE, count: 150, isPortDown: true },
} satisfies Record<string, Attack>

interface Attack {
  /** Concurrent reports. */
  parallel: number
  /** Log lines per report; each line is a separate message. */
  lines: number
  /** Characters per line. */
  width: number
  /** The number of reports. */
  count: number
  isPortDown: boolean
}

type Target = { url: string; runs: { token: string; delivery: string }[]; attack: Attack }

/** `numbers`: the numbers of the accepted reports. */
type Attacked = { responses: Record<string, number>; numbers: number[] }

/** Lets a workflow run report as much as possible alongside honest webhooks. Restarts the relay halfway. */
export function attackWithReports(options: { database: string; seconds: number; attack: Attack }) {
  const { database, seconds, attack } = options
  // The heap is too small for all reported data.
  const flags = [...MEASURED, '--max-old-space-size=96']
  const env = { LOG_LEVEL: 'fatal' }
  return withSystem({ database, connected: true, runs: 'none', flags, env }, async system => {
    const { relay, port } = system
    const accepted: string[] = []
    const honestSenders = (ms: number) => {
      const end = performance.now() + ms
      return Promise.all([
        honest(end, 50, () => sendWebhook(system, accepted), 202),
        honest(end, 100, () => fetch(`${relay.url}/healthz`), 200),
      ])
    }
    await relay.start()
    await honestSenders(1_000)
    const { delivery, runId, token: oidcToken } = await startDelivery(system)
    const token = await startReport(relay.url, delivery, oidcToken)
    const before = await memoryOf(relay)
    if (attack.isPortDown) await port.stop()
    const target: Target = { url: relay.url, runs: [{ token, delivery }], attack }
    const attacker = startAttacker<Attacked>(import.meta.url, target)
    try {
      const half = (seconds * 1000) / 2
      const first = await honestSenders(half)
      // The attack continues during the restart.
      if ((await relay.stop()) !== 0) throw new Error(`The relay didn't stop: ${relay.printed()}`)
      await relay.start()
      const second = await honestSenders(half)
      // All reports are sent, however long that takes.
      const { responses, numbers } = await attacker.result()

      await port.start()
      const expected = new Set(numbers.flatMap(n => times(attack.lines, line => nameOf(n, line))))
      const missing = () => missingLines(port.run(runId), expected)
      await until(() => missing() === 0, 'Port gets the lines', 180_000).catch(() => {})
      await until(() => accepted.every(id => system.accepted().includes(id)), 'all are dispatched', 600_000)
      return {
        served: [...first, ...second],
        notDispatchedOnce: accepted.filter(id => system.accepted().filter(each => each === id).length !== 1),
        responses,
        lines: { accepted: expected.size, missing: missing() },
        memory: await releasedSince(before, relay),
      }
    } finally {
      await attacker.terminate()
    }
  })
}

/** Lets three deliveries of one author report as much as possible alongside reports of another repository. */
export async function attackAsAuthor(seconds: number) {
  const attack = { ...LARGE, parallel: 100 }
  const system = await startSystem({ RELAY_ALLOWED_REPOSITORIES: 'acme/*' }, startRelay)
  const { url, github } = system
  const repository = 'acme/author'
  const own = { repository, repositoryId: github.addRepository(repository).id }
  const runs: Target['runs'] = []
  for (let n = 1; n <= 3; n++) {
    const { id } = await system.deliver({ body: { github: { repository } } })
    const started = await system.start(id, { ...own, runId: GITHUB_RUN_ID + n })
    runs.push({ delivery: id, token: String(started.body.token) })
  }
  const { id } = await system.deliver()
  const token = String((await system.start(id, { runId: GITHUB_RUN_ID - 1 })).body.token)
  const attacker = startAttacker<Attacked>(import.meta.url, { url, runs, attack } satisfies Target)
  try {
    await sleep(1_000)
    const report = [{ log: [{ level: 'INFO', message: 'honest' }] }]
    const end = performance.now() + seconds * 1_000
    const served = [await honest(end, 100, n => system.report(token, id, report, { sender: `s${n}` }), 202)]
    attacker.stop()
    return { served, ...(await attacker.result()) }
  } finally {
    await attacker.terminate()
  }
}

async function sendWebhook({ relay, port }: System, accepted: string[]) {
  const { id } = port.createRun({ action: 'deploy' })
  const body = { run: { id }, action: { identifier: 'deploy' }, inputs: { version: '1.4.2' } }
  const response = await send(relay.url, { body })
  if (response.status === 202) accepted.push(id)
  return response
}

/** Creates a dispatched delivery, and the OIDC token of its workflow run. */
export async function startDelivery(
  { relay, port, github, issuer, repositoryId, accepted }: System,
  more: object = {},
) {
  const { id } = port.createRun({ action: 'deploy' })
  const body = { run: { id }, action: { identifier: 'deploy' }, inputs: {}, ...more }
  const response = await send(relay.url, { body })
  await until(() => accepted().includes(id), 'GitHub gets the dispatch')
  const run = github.createRun({ repository: REPOSITORY, displayTitle: id, status: 'in_progress' })
  const token = issuer.token({ repository: REPOSITORY, repositoryId, runId: run.id }, AUDIENCE)
  return { delivery: String(response.body.delivery), runId: id, token }
}

/** @returns the report token */
export async function startReport(url: string, delivery: string, oidcToken: string): Promise<string> {
  const response = await fetch(`${url}/report/start`, {
    method: 'POST',
    headers: { authorization: `Bearer ${oidcToken}` },
    body: JSON.stringify({ delivery }),
  })
  const { token, detail } = (await response.json()) as { token?: string; detail?: string }
  if (token === undefined) throw new Error(`POST /report/start: ${response.status} ${detail}`)
  return token
}

/** Returns how many lines are missing in Port's log without being counted there as omitted. */
function missingLines(portRun: PortRun, expected: ReadonlySet<string>): number {
  const lines = portRun.logs.flatMap(log => log.message.split('\n'))
  const arrived = new Set(lines.flatMap(line => /^\d+\.\d+(?= )/.exec(line) ?? []))
  const leftOut = lines.map(line => Number(/^… (\d+) lines? may be missing/.exec(line)?.[1] ?? 0))
  const lost = [...expected].filter(name => !arrived.has(name)).length
  return Math.max(0, lost - leftOut.reduce((sum, count) => sum + count, 0))
}

await runAttacker<Target>(import.meta.url, async ({ url, runs, attack }, signal) => {
  const { responses, count } = createCounter()
  const numbers: number[] = []
  const fill = 'x'.repeat(attack.width)
  let next = 1
  const post = (token: string, body: string): Promise<number | 'none'> => {
    const headers = { authorization: `Bearer ${token}` }
    return fetch(`${url}/report`, { method: 'POST', headers, body }).then(
      async response => {
        await response.text()
        return response.status
      },
      () => 'none',
    )
  }
  const sendReports = async (sender: string, { token, delivery }: Target['runs'][number]) => {
    while (!signal.aborted && next <= attack.count) {
      const number = next++
      const messages = times(attack.lines, line => `${nameOf(number, line)} ${fill}`)
      const reports = messages.map(message => ({ log: [{ level: 'INFO', message }] }))
      const body = JSON.stringify({ delivery, sender, number, reports })
      // Like the action, sends a report again after a 429, or if there was no response.
      for (let status = await post(token, body); ; status = await post(token, body)) {
        count(status)
        if (status === 202) numbers.push(number)
        if (![429, 'none'].includes(status) || signal.aborted) break
        await sleep(50)
      }
    }
  }
  await Promise.all(runs.flatMap(run => times(attack.parallel, n => sendReports(`sender-${n}`, run))))
  return { responses, numbers } satisfies Attacked
})

/** The text that identifies a line in Port's log. */
function nameOf(number: number, line: number): string {
  return `${number}.${line}`
}

function times<T>(count: number, make: (n: number) => T): T[] {
  return Array.from({ length: count }, (_, n) => make(n))
}
