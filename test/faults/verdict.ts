import { until } from '../support/until.ts'
import type { Load } from './load.ts'
import { ADMIN_TOKEN, type World } from './world.ts'

/** One row of the table. */
export interface Verdict {
  fault: string
  /** How often it struck. */
  times: number
  acknowledged: number
  /** Acknowledged, but neither dispatched nor failed with a reason when all trouble was over. */
  lost: number
  /** Run ids for which GitHub accepted more than one dispatch. */
  twice: number
  /** Repositories whose deliveries were dispatched in another order than they were accepted in. */
  disordered: number
  /** Failed with a reason. */
  failed: number
}

interface Shown {
  seq: number
  run_id: string
  repository: string
  state: string
  reason: string | null
}

/**
 * Waits until nothing is queued any more, and counts: what was acknowledged, at the sender; what was
 * dispatched, at GitHub; what failed, at the relay.
 */
export async function judge(
  fault: string,
  times: number,
  world: World,
  load: Load,
  patienceMs = 300_000,
): Promise<Verdict> {
  const queued = async () => (await list(world, '?state=queued&limit=1')).length > 0
  await until(async () => !(await queued()), `${fault}: nothing is queued any more`, patienceMs)
  const deliveries = await all(world)
  const accepted = world.accepted()
  const dispatched = new Set(accepted)
  const failed = new Set(
    deliveries.filter(each => each.state === 'failed' && each.reason).map(each => each.run_id),
  )
  const lost = [...load.acknowledged].filter(id => !dispatched.has(id) && !failed.has(id))
  return {
    fault,
    times,
    acknowledged: load.acknowledged.size,
    lost: lost.length,
    twice: dispatched.size === accepted.length ? 0 : countTwice(accepted),
    disordered: disordered(deliveries, accepted),
    failed: failed.size,
  }
}

function countTwice(ids: string[]): number {
  const seen = new Map<string, number>()
  for (const id of ids) seen.set(id, (seen.get(id) ?? 0) + 1)
  return [...seen.values()].filter(times => times > 1).length
}

/** In each repository the first dispatches come in the order of acceptance. */
function disordered(deliveries: Shown[], accepted: string[]): number {
  const seq = new Map(deliveries.map(each => [each.run_id, each]))
  const last = new Map<string, number>()
  const wrong = new Set<string>()
  for (const id of new Set(accepted)) {
    const delivery = seq.get(id)
    if (!delivery) continue
    if (delivery.seq < (last.get(delivery.repository) ?? 0)) wrong.add(delivery.repository)
    last.set(delivery.repository, delivery.seq)
  }
  return wrong.size
}

async function all(world: World): Promise<Shown[]> {
  const found: Shown[] = []
  for (let before = ''; ; ) {
    const page = await list(world, `?limit=200${before}`)
    found.push(...page)
    if (page.length < 200) return found
    before = `&before=${page.at(-1)?.seq}`
  }
}

async function list(world: World, query: string): Promise<Shown[]> {
  const relay = world.relays.find(each => each.running())
  const response = await fetch(`${relay?.url}/api/deliveries${query}`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  })
  if (!response.ok) throw new Error(`The relay answered ${response.status}: ${await response.text()}`)
  return ((await response.json()) as { deliveries: Shown[] }).deliveries
}
