import { expect, test } from 'vitest'
import type { GitHubRun } from '../../tools/simulator/github/github.ts'
import { iso, startSystem } from '../support/system.ts'

const REPOSITORIES = 20
const EACH = 50
const SECOND = 1_000
const MINUTE = 60 * SECOND

/**
 * A thousand running deliveries on a real SQLite file, against the fake GitHub over HTTP. The clock advances in
 * steps of one second, and every polling request is counted at its time.
 */
async function openThousand() {
  const system = await startSystem({ startTimeout: 10 * MINUTE, runTimeout: 24 * 60 * MINUTE, blind: true })
  const asked: number[] = []
  const { hub, now } = system
  for (const name of ['runsPage', 'run', 'jobs', 'jobLog', 'workflows'] as const) {
    const work = hub[name] as (...args: unknown[]) => unknown
    Object.assign(hub, {
      [name]: (...args: unknown[]) => {
        asked.push(now())
        return work(...args)
      },
    })
  }
  system.restart()
  const runs = new Map<string, GitHubRun>()
  for (let i = 0; i < REPOSITORIES * EACH; i++) {
    const repository = `acme/shop-${i % REPOSITORIES}`
    if (i < REPOSITORIES) system.github.addRepository(repository)
    const id = await system.accept(`r_${String(i).padStart(16, '0')}`, repository)
    const made = { repository, displayTitle: 'deploy', createdAt: iso(now()), status: 'in_progress' as const }
    const run = system.github.createRun(made)
    runs.set(id, run)
    await system.bind(id, run.id)
  }

  const ended = new Map<string, number>()
  const known = new Map<string, number>()
  async function pass(ms: number, { webhooks, endings }: { webhooks: boolean; endings: boolean }) {
    for (const until = now() + ms; now() < until; ) {
      await system.pass(SECOND)
      const finished = await system.store.list({ state: 'finished' }, { limit: 5_000 })
      for (const { id, updatedAt } of finished) if (!known.has(id)) known.set(id, updatedAt)
      // Finishes one run per second, in all repositories in turn.
      const next = [...runs].find(([id]) => !ended.has(id))
      if (!next || !endings) continue
      const [id, run] = next
      system.end(run, 'success')
      ended.set(id, now())
      if (webhooks) await system.webhook(run)
    }
  }
  return {
    ...{ asked, ended, known, pass },
    notModified: () => system.github.requests.filter(({ status }) => status === 304).length,
  }
}

/** Returns the most requests within any 60 seconds. */
const busiestMinute = (asked: number[]) =>
  Math.max(...asked.map(from => asked.filter(at => at >= from && at < from + MINUTE).length))

for (const [webhooks, limit] of [
  [false, 60],
  [true, 2],
] as const) {
  test(`1,000 deliveries in 20 repositories, ${webhooks ? 'with' : 'without'} webhooks: the relay sends at most 60 requests a minute and detects a finished run within ${limit} s`, async () => {
    const system = await openThousand()
    await system.pass(2 * MINUTE, { webhooks, endings: false })
    await system.pass(2 * MINUTE, { webhooks, endings: true })
    await system.pass(MINUTE, { webhooks, endings: false })

    const delays = [...system.ended].map(([id, at]) => ((system.known.get(id) ?? Infinity) - at) / SECOND)
    const busiest = busiestMinute(system.asked)
    console.log(
      `${webhooks ? 'with' : 'without'} webhooks: ${delays.length} finished, detected after at most ${Math.max(...delays)} s; ${busiest} requests in the busiest minute, ${system.asked.length} in 5 minutes, ${system.notModified()} of them 304`,
    )
    expect(delays.length).toBeGreaterThanOrEqual(119)
    expect(Math.max(...delays)).toBeLessThanOrEqual(limit)
    expect(busiest).toBeLessThanOrEqual(60)
    expect(system.asked.length).toBeGreaterThan(20)
  })
}
