import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { RunState } from '../../port/types.ts'
import { createWatching } from '../../relay/deliveries/create-watching.ts'
import { createGitHub } from '../../relay/github/client.ts'
import { toWorkflowRun } from '../../relay/github/workflow-run.ts'
import { openStore } from '../../relay/store/open.ts'
import { type GitHubRun, startGitHubApi } from '../support/github-api.ts'
import { temporaryFolder } from '../support/relay.ts'

const REPOSITORIES = 20
const EACH = 50
const SECOND = 1_000
const MINUTE = 60 * SECOND

const iso = (at: number) => `${new Date(at).toISOString().slice(0, 19)}Z`
const IN_PROGRESS: RunState = {
  status: 'in_progress',
  ended: false,
  externalRunId: null,
  synchronized: false,
  properties: null,
  body: null,
}

/**
 * A thousand deliveries on a real SQLite file, against GitHub's stand-in over HTTP. The clock is the test's: it
 * jumps to whatever is due next, as the worker would look, and every request is counted at its minute.
 */
async function openThousand() {
  const github = await startGitHubApi()
  const store = await openStore({ kind: 'sqlite', path: join(temporaryFolder(), 'relay.db') }, 0)
  onTestFinished(async () => {
    await Promise.all([github.close(), store.close()])
  })
  let at = Math.ceil(Date.now() / SECOND) * SECOND
  const clock = () => at
  const hub = createGitHub(
    { apiUrl: github.url, auth: { token: github.token }, webhookSecret: null, oidcIssuer: '' },
    clock,
  )
  const asked: number[] = []
  const counted = <A extends unknown[], R>(work: (...args: A) => R) => {
    return (...args: A): R => {
      asked.push(at)
      return work(...args)
    }
  }
  const { watch, lister } = createWatching({
    store,
    github: {
      ...hub,
      runsPage: counted(hub.runsPage),
      run: counted(hub.run),
      jobs: counted(hub.jobs),
      jobLog: counted(hub.jobLog),
      workflows: counted(hub.workflows),
    },
    port: { run: () => ({ read: async () => ({ ...IN_PROGRESS, ended: false }) }) as never },
    startTimeout: 10 * MINUTE,
    runTimeout: 24 * 60 * MINUTE,
    clock,
  })

  const runs = new Map<string, GitHubRun>()
  await Promise.all(
    Array.from({ length: REPOSITORIES * EACH }, async (_, i) => {
      const repository = `acme/shop-${i % REPOSITORIES}`
      if (i < REPOSITORIES) github.addRepository(repository)
      const id = `delivery-${i}`
      await store.accept({
        id,
        identity: id,
        replayKey: null,
        organisation: 'default',
        workflow: null,
        ref: null,
        runId: `r_${String(i).padStart(16, '0')}`,
        kind: 'action_run',
        action: 'deploy',
        repository,
        eventType: 'deploy',
        invocation: '{}',
        receivedAt: at,
      })
      const made = { repository, displayTitle: 'deploy', createdAt: iso(at), status: 'in_progress' as const }
      const run = github.createRun(made)
      runs.set(id, run)
      await store.bindRun(id, run.id, 1, at)
    }),
  )

  const ended = new Map<string, number>()
  const known = new Map<string, number>()
  async function pass(ms: number, webhooks: boolean): Promise<void> {
    const until = at + ms
    while (at < until) {
      for (;;) {
        const claimed = await store.claimWatched(at, MINUTE, 1_000)
        if (claimed.length === 0) break
        await Promise.all(claimed.map(watch))
      }
      const finished = await store.list({ state: 'finished', limit: 5_000 })
      for (const { id } of finished) if (!known.has(id)) known.set(id, at)
      at += SECOND
      // One in every second, from all repositories in turn.
      const next = [...runs].find(([id]) => !ended.has(id))
      if (!next || !endings) continue
      const [id, run] = next
      github.setRun(run.id, { status: 'completed', conclusion: 'success', updatedAt: iso(at) })
      ended.set(id, at)
      if (!webhooks) continue
      lister.observe(run.repository, toWorkflowRun({ ...shown(run), conclusion: 'success' }))
      await store.wakeDelivery(id, at)
    }
  }
  let endings = false
  return {
    asked,
    ended,
    known,
    pass,
    letRunsEnd: (yes: boolean) => {
      endings = yes
    },
    notModified: () => github.requests.filter(({ status }) => status === 304).length,
  }
}

const shown = (run: GitHubRun) => ({
  id: run.id,
  event: run.event,
  display_title: run.displayTitle,
  status: 'completed',
  created_at: run.createdAt,
  updated_at: run.updatedAt,
})

/** The most requests in any minute, wherever it begins. */
const busiestMinute = (asked: number[]) =>
  Math.max(...asked.map(from => asked.filter(at => at >= from && at < from + MINUTE).length))

for (const [webhooks, limit] of [
  [false, 60],
  [true, 2],
] as const) {
  test(`1,000 deliveries in 20 repositories, ${webhooks ? 'with' : 'without'} webhooks: at most 60 requests a minute, an end known within ${limit} s`, async () => {
    const stage = await openThousand()
    await stage.pass(2 * MINUTE, webhooks)
    stage.letRunsEnd(true)
    await stage.pass(2 * MINUTE, webhooks)
    stage.letRunsEnd(false)
    await stage.pass(MINUTE, webhooks)

    const delays = [...stage.ended].map(([id, at]) => ((stage.known.get(id) ?? Infinity) - at) / SECOND)
    const busiest = busiestMinute(stage.asked)
    console.log(
      `${webhooks ? 'with' : 'without'} webhooks: ${delays.length} ended, known after ${Math.max(...delays)} s at most; ${busiest} requests in the busiest minute, ${stage.asked.length} in 5 minutes, ${stage.notModified()} of them 304`,
    )
    expect(delays.length).toBeGreaterThanOrEqual(119)
    expect(Math.max(...delays)).toBeLessThanOrEqual(limit)
    expect(busiest).toBeLessThanOrEqual(60)
    expect(stage.asked.length).toBeGreaterThan(20)
  })
}
