import { expect, test } from 'vitest'
import type { GitHubRun } from '../../tools/simulator/github/github.ts'
import { iso, openStage } from '../support/stage.ts'

const REPOSITORIES = 20
const EACH = 50
const SECOND = 1_000
const MINUTE = 60 * SECOND

/**
 * A thousand running deliveries on a real SQLite file, against GitHub's stand-in over HTTP. The clock jumps from
 * second to second, and every request of the watch is counted at its time.
 */
async function openThousand() {
  const stage = await openStage({ startTimeout: 10 * MINUTE, runTimeout: 24 * 60 * MINUTE, blind: true })
  const asked: number[] = []
  const { hub, now } = stage
  for (const name of ['runsPage', 'run', 'jobs', 'jobLog', 'workflows'] as const) {
    const work = hub[name] as (...args: unknown[]) => unknown
    Object.assign(hub, {
      [name]: (...args: unknown[]) => {
        asked.push(now())
        return work(...args)
      },
    })
  }
  stage.restart()
  const runs = new Map<string, GitHubRun>()
  for (let i = 0; i < REPOSITORIES * EACH; i++) {
    const repository = `acme/shop-${i % REPOSITORIES}`
    if (i < REPOSITORIES) stage.github.addRepository(repository)
    const id = await stage.accept(`r_${String(i).padStart(16, '0')}`, repository)
    const made = { repository, displayTitle: 'deploy', createdAt: iso(now()), status: 'in_progress' as const }
    const run = stage.github.createRun(made)
    runs.set(id, run)
    await stage.bind(id, run.id)
  }

  const ended = new Map<string, number>()
  const known = new Map<string, number>()
  async function pass(ms: number, { webhooks, endings }: { webhooks: boolean; endings: boolean }) {
    for (const until = now() + ms; now() < until; ) {
      await stage.pass(SECOND)
      const finished = await stage.store.list({ state: 'finished' }, { limit: 5_000 })
      for (const { id, updatedAt } of finished) if (!known.has(id)) known.set(id, updatedAt)
      // One in every second, from all repositories in turn.
      const next = [...runs].find(([id]) => !ended.has(id))
      if (!next || !endings) continue
      const [id, run] = next
      stage.end(run, 'success')
      ended.set(id, now())
      if (webhooks) await stage.webhook(run)
    }
  }
  return {
    ...{ asked, ended, known, pass },
    notModified: () => stage.github.requests.filter(({ status }) => status === 304).length,
  }
}

/** The most requests in any minute, wherever it begins. */
const busiestMinute = (asked: number[]) =>
  Math.max(...asked.map(from => asked.filter(at => at >= from && at < from + MINUTE).length))

for (const [webhooks, limit] of [
  [false, 60],
  [true, 2],
] as const) {
  test(`1,000 deliveries in 20 repositories, ${webhooks ? 'with' : 'without'} webhooks: at most 60 requests a minute, an end known within ${limit} s`, async () => {
    const stage = await openThousand()
    await stage.pass(2 * MINUTE, { webhooks, endings: false })
    await stage.pass(2 * MINUTE, { webhooks, endings: true })
    await stage.pass(MINUTE, { webhooks, endings: false })

    const delays = [...stage.ended].map(([id, at]) => ((stage.known.get(id) ?? Infinity) - at) / SECOND)
    const busiest = busiestMinute(stage.asked)
    console.log(
      `${webhooks ? 'with' : 'without'} webhooks: ${delays.length} ended, known after ${Math.max(...delays)} s at most; ${busiest} requests in the busiest minute, ${stage.asked.length} in 5 minutes, ${stage.notModified()} of them 304`,
    )
    expect(delays.length).toBeGreaterThanOrEqual(119)
    expect(Math.max(...delays)).toBeLessThanOrEqual(limit)
    expect(busiest).toBeLessThanOrEqual(60)
    expect(stage.asked.length).toBeGreaterThan(20)
  }, 150_000)
}
