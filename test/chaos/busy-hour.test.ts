import { expect, test } from 'vitest'
import type { GitHubRun } from '../../tools/simulator/github/github.ts'
import { seededRandom } from '../support/random.ts'
import { iso, startSystem } from '../support/system.ts'

const REPOSITORIES = 500
/** A tenth of 50,000 deliveries a day arrive in the busiest hour. `BUSY_MINUTES` of that hour are simulated. */
const AN_HOUR = 5_000
const MINUTES = Number(process.env.BUSY_MINUTES ?? 5)
const SECOND = 1_000
const MINUTE = 60 * SECOND
/** The delay from a dispatch to the workflow run's first report; then the run's duration (minimum, maximum). */
const REPORTS_AFTER = 8 * SECOND
const TAKES = [30 * SECOND, 8 * MINUTE] as const
/** The rate limit of an App installation with this many repositories: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api */
const GITHUB_A_MINUTE = 12_500 / 60

for (const webhooks of [true, false]) {
  test(`50,000 deliveries a day in 500 repositories, ${webhooks ? 'with' : 'without'} GitHub's webhooks: the relay stays within its request budget in the busiest hour`, async () => {
    const random = seededRandom(50_000)
    const system = await startSystem({ startTimeout: 10 * MINUTE, runTimeout: 24 * 60 * MINUTE })
    const { github, port, now } = system
    for (let i = 0; i < REPOSITORIES; i++) github.addRepository(`acme/shop-${i}`)
    let later: { at: number; work: () => Promise<unknown> }[] = []
    const plan = (ms: number, work: () => Promise<unknown>) => later.push({ at: now() + ms, work })
    let dispatched = 0
    let ended = 0

    async function deliver(): Promise<void> {
      const repository = `acme/shop-${Math.floor(random() * REPOSITORIES)}`
      const id = await system.accept(`r_${String(++dispatched).padStart(16, '0')}`, repository)
      plan(REPORTS_AFTER, async () => {
        const createdAt = iso(now())
        const run = github.createRun({ repository, displayTitle: 'deploy', createdAt, status: 'in_progress' })
        await system.bind(id, run.id)
        const [least, most] = TAKES
        plan(least + random() * (most - least), () => end(run))
      })
    }
    async function end(run: GitHubRun): Promise<void> {
      ended++
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
    const finished = await system.store.list({ state: 'finished' }, { limit: 5_000 })
    console.log(
      `${webhooks ? 'with' : 'without'} webhooks, busiest minute: ${most('github')} requests to GitHub (${most('writes')} of them dispatches), ` +
        `${most('port')} to Port; ${dispatched} delivered, ${ended} workflow runs finished, ${finished.length} deliveries finished`,
    )
    expect(github.dispatches.length).toBe(dispatched)
    // Requests other than dispatches stay within the request budget of 60 per minute.
    expect(most('github') - most('writes')).toBeLessThanOrEqual(60)
    expect(most('github')).toBeLessThanOrEqual(GITHUB_A_MINUTE)
    if (webhooks) expect(finished.length).toBeGreaterThanOrEqual(ended - 2)
  })
}
