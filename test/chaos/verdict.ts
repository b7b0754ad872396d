import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../simulator/http-server.ts'
import type { Sent } from './load.ts'
import { ADMIN_TOKEN, type System } from './system.ts'

/** The result of one fault: a row in the table. */
export interface Verdict {
  fault: string
  /** How many times the fault struck. */
  times: number
  acknowledged: number
  /** Acknowledged deliveries that were neither dispatched nor failed with a reason. */
  lost: number
  /** Run ids for which GitHub accepted several dispatches. */
  twice: number
  /** Repositories in which a delivery overtook an earlier, already acknowledged delivery. */
  disordered: number
  /** Deliveries that failed with a reason. */
  failed: number
}

interface Shown {
  seq: number
  run_id: string
  repository: string
  state: string
  reason: string | null
}

/** Waits until no delivery is queued. Then counts the deliveries: acknowledged ones at the sender, dispatched ones at GitHub, and failed ones at the relay. */
export async function judge(fault: string, times: number, system: System): Promise<Verdict> {
  const queued = async () => (await list(system, '?state=queued&limit=1')).length > 0
  await until(async () => !(await queued()), `${fault}: no delivery is queued`, 900_000)
  const deliveries = await all(system)
  const accepted = system.accepted()
  const dispatched = new Set(accepted)
  const failed = new Set(
    deliveries.filter(each => each.state === 'failed' && each.reason).map(each => each.run_id),
  )
  const { sent } = system
  const lost = [...sent.acknowledged.keys()].filter(id => !dispatched.has(id) && !failed.has(id))
  return {
    fault,
    times,
    acknowledged: sent.acknowledged.size,
    lost: lost.length,
    twice: Object.values(Object.groupBy(accepted, id => id)).filter(each => each!.length > 1).length,
    disordered: disordered(deliveries, accepted, sent),
    failed: failed.size,
  }
}

/** How often a fault strikes, and the deliveries that arrive at each strike. */
export interface Strikes {
  times: number
  perStrike: number
  perSecond: number
}

/** Strikes repeatedly. Deliveries start to arrive before each strike, so that no strike hits an idle relay. */
export async function judgeStrikes(
  fault: string,
  system: System,
  options: Strikes,
  strike: () => Promise<void>,
): Promise<Verdict> {
  await system.relay.start()
  const arrivals: Promise<void>[] = []
  for (let n = 0; n < options.times; n++) {
    arrivals.push(system.load({ ...options, count: options.perStrike }).done)
    await sleep(20 + Math.random() * 400)
    await strike()
  }
  await Promise.all(arrivals)
  const refused = system.sent.responses.get(503) ?? 0
  return judge(refused > 0 ? `${fault}, ${refused} × 503` : fault, options.times, system)
}

/** Compares the dispatch order with the sending order. Concurrent webhooks can be accepted in either order. */
function disordered(deliveries: Shown[], accepted: string[], { acknowledged, started }: Sent): number {
  const repositories = new Map(deliveries.map(each => [each.run_id, each.repository]))
  const lastStarted = new Map<string, number>()
  const wrong = new Set<string>()
  for (const id of new Set(accepted)) {
    const repository = repositories.get(id)
    if (repository === undefined) continue
    const before = lastStarted.get(repository) ?? 0
    if ((acknowledged.get(id) ?? Number.POSITIVE_INFINITY) < before) wrong.add(repository)
    lastStarted.set(repository, Math.max(before, started.get(id) ?? 0))
  }
  return wrong.size
}

async function all(system: System): Promise<Shown[]> {
  const found: Shown[] = []
  for (let before = ''; ; ) {
    const page = await list(system, `?limit=200${before}`)
    found.push(...page)
    if (page.length < 200) return found
    before = `&before=${page.at(-1)?.seq}`
  }
}

async function list(system: System, query: string): Promise<Shown[]> {
  const relay = system.relays.find(each => each.running())
  const response = await fetch(`${relay?.url}/api/deliveries${query}`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  })
  if (!response.ok) throw new Error(`The relay responded with ${response.status}: ${await response.text()}`)
  return ((await response.json()) as { deliveries: Shown[] }).deliveries
}
