import { expect, test } from 'vitest'
import type { GitHubRun } from '../../simulator/github/github.ts'
import { seededRandom } from '../support/random.ts'
import { iso, startSystem } from '../support/system.ts'

/** A tenth of 50,000 deliveries a day arrive in the busiest hour. `BUSY_MINUTES` of that hour are simulated. */
const AN_HOUR = 5_000
const MINUTES = Number(process.env.BUSY_MINUTES ?? 5)
const SECOND = 1_000
const MINUTE = 60 * SECOND
/** The time from a dispatch to the workflow run's first report, and the minimum and maximum duration of a run. */
const REPORTS_AFTER = 8 * SECOND
const TAKES = [30 * SECOND, 8 * MINUTE] as const
/** The rate limit of an App installation with this many repositories: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api */
const GITHUB_A_MINUTE = 12_500 / 60

/** Columns: the number of repositories, whether GitHub sends webhooks, and the maximum time until a finished run is detected (s, or Infinity). */
const CASES: [repositories: number, webhooks: boolean, limit: number][] = [
  [500, true, 2],
  [500, false, Number.POSITIVE_INFINITY],
  [20, false, 60],
]
for (const [repositories, webhooks, limit] of CASES) {
  test(`50,000 deliveries a day in ${repositories} repositories, ${webhooks ? 'with' : 'without'} GitHub's webhooks: the relay stays within its request budget in the busiest hour${Number.isFinite(limit) ? `, and detects a finished run within ${limit} s` : ''}`, async () => {
    const random = seededRandom(50_000)
    const system = await startSystem({ startTimeout: 10 * MINUTE, runTimeout: 24 * 60 * MINUTE })
    const { github, port, now } = system
    for (let i = 0; i < repositories; i++) github.addRepository(`acme/shop-${i}`)
    let later: { at: number; work: () => Promise<unknown> }[] = []
    const plan = (ms: number, work: () => Promise<unknown>) => later.push({ at: now() + ms, work })
    let dispatched = 0
    /** By delivery: when its run ended, and how long the relay took to detect the end (s). */
    const ended = new Map<string, number>()
    const delays = new Map<string, number>()

    async function deliver(): Promise<void> {
      const repository = `acme/shop-${Math.floor(random() * repositories)}`
      const id = await system.accept(`r_${String(++dispatched).padStart(16, '0')}`, repository)
      plan(REPORTS_AFTER, async () => {
        const createdAt = iso(now())
        const run = github.createRun({ repository, displayTitle: 'deploy', createdAt, status: 'in_progress' })
        await system.bind(id, run.id)
        const [least, most] = TAKES
        plan(least + random() * (most - least), () => end(id, run))
      })
    }
    async function end(id: string, run: GitHubRun): Promise<void> {
      ended.set(id, now())
      system.end(run, 'success')
      if (webhooks) await system.webhook(run)
    }

    const asked: Record<'github' | 'writes' | 'port', number>[] = []
    let owed = 0
    for (let minute = 0; minute < MINUTES; minute++) {
      const before = { github: github.requests.length, port: port.requests.length }
      const started = now()
      for (let second = 0; second < 60; second++) {
        for (owed += AN_HOUR / 3_600; owed >= 1; owed--) await deliver()
        await system.pass(SECOND)
        const due = later.filter(({ at }) => at <= now())
        later = later.filter(each => !due.includes(each))
        for (const { work } of due) await work()
        for (const [id, at] of ended) {
          const { state, updatedAt } = await system.delivery(id)
          if (state === 'running') continue
          delays.set(id, (updatedAt - at) / SECOND)
          ended.delete(id)
        }
      }
      expect(now() - started).toBe(MINUTE)
      const ours = github.requests.slice(before.github)
      asked.push({
        github: ours.filter(({ status }) => status !== 304).length,
        writes: ours.filter(({ method }) => method === 'POST').length,
        port: port.requests.length - before.port,
      })
    }

    const most = (kind: keyof (typeof asked)[number]) => Math.max(...asked.map(each => each[kind]))
    const slowest = Math.max(...delays.values())
    console.log(
      `${repositories} repositories, ${webhooks ? 'with' : 'without'} webhooks, busiest minute: ${most('github')} requests to GitHub (${most('writes')} of them dispatches), ` +
        `${most('port')} to Port; ${dispatched} delivered, ${delays.size} workflow runs detected as finished after at most ${slowest} s, ${ended.size} not yet`,
    )
    expect(github.dispatches.length).toBe(dispatched)
    // Requests that aren't dispatches stay within 60 per minute.
    expect(most('github') - most('writes')).toBeLessThanOrEqual(60)
    expect(most('github')).toBeLessThanOrEqual(GITHUB_A_MINUTE)
    expect(slowest).toBeLessThanOrEqual(limit)
    for (const at of ended.values()) expect((now() - at) / SECOND).toBeLessThanOrEqual(limit)
    if (Number.isFinite(limit)) expect(delays.size).toBeGreaterThan(50)
  })
}
