import { until } from '../../tools/simulator/http-server.ts'
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
  /** Repositories in which a delivery was dispatched before one that was acknowledged before it was sent. */
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
  const lost = [...load.acknowledged.keys()].filter(id => !dispatched.has(id) && !failed.has(id))
  return {
    fault,
    times,
    acknowledged: load.acknowledged.size,
    lost: lost.length,
    twice: dispatched.size === accepted.length ? 0 : countTwice(accepted),
    disordered: disordered(deliveries, accepted, load),
    failed: failed.size,
  }
}

function countTwice(ids: string[]): number {
  const seen = new Map<string, number>()
  for (const id of ids) seen.set(id, (seen.get(id) ?? 0) + 1)
  return [...seen.values()].filter(times => times > 1).length
}

/** What the sender can know of the order: two that were under way at once may have been accepted in either. */
function disordered(deliveries: Shown[], accepted: string[], { acknowledged, started: begun }: Load): number {
  const repositories = new Map(deliveries.map(each => [each.run_id, each.repository]))
  const lastBegun = new Map<string, number>()
  const wrong = new Set<string>()
  for (const id of new Set(accepted)) {
    const repository = repositories.get(id)
    if (repository === undefined) continue
    const before = lastBegun.get(repository) ?? 0
    if ((acknowledged.get(id) ?? Number.POSITIVE_INFINITY) < before) wrong.add(repository)
    lastBegun.set(repository, Math.max(before, begun.get(id) ?? 0))
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
