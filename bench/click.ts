import { mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type GitHubRun, startGitHubApi } from '../simulator/github/github.ts'
import { startPortApi } from '../simulator/port/port.ts'
import { sendRunWebhook } from '../test/support/requests.ts'
import { signWebhook } from './load/webhooks.ts'
import { startServer } from './processes.ts'
import { relayEnvironment } from './relay-environment.ts'
import { percentile } from './statistics.ts'

const GITHUB_SECRET = 'bench-github-secret-0123456789abcdef'
/** The fake GitHub starts a run 1 s after its dispatch. The run takes 2 s. */
const RUN_STARTS_MS = 1_000
const RUN_TAKES_MS = 2_000
/** How often this process reads the fake Port's runs. */
const READ_EVERY_MS = 2
const LONGEST_MS = 120_000

/** The number of deliveries, the interval between them, and the number of repositories, which get deliveries in turn. */
const LOADS = {
  idle: { count: 30, everyMs: 1_000, repositories: 1 },
  busy: { count: 300, everyMs: 50, repositories: 20 },
} as const

interface Quantiles {
  p50: number
  p99: number
}

export interface Click {
  load: keyof typeof LOADS
  webhooks: boolean
  /** Times since the arrival of Port's webhook, in ms. */
  waiting: Quantiles
  dispatch: Quantiles
  /** From the run's start to its link in Port, and from its finish to its final status in Port, in ms. */
  link: Quantiles
  final: Quantiles
  /** Requests to GitHub per delivery, including dispatches. */
  requests: number
}

/** Measures how long a developer waits for updates in Port, with GitHub's webhooks and with polling only. */
export async function click(): Promise<Click[]> {
  const clicks: Click[] = []
  for (const load of ['idle', 'busy'] as const)
    for (const webhooks of [true, false]) clicks.push(await measure(load, webhooks))
  return clicks
}

interface Times {
  sent: number
  waiting?: number
  dispatch?: number
  started?: number
  link?: number
  ended?: number
  final?: number
}

async function measure(load: keyof typeof LOADS, webhooks: boolean): Promise<Click> {
  const { count, everyMs, repositories } = LOADS[load]
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'))
  const [port, github] = await Promise.all([startPortApi(), startGitHubApi()])
  const nameOf = (n: number) => `acme/shop-${n % repositories}`
  for (let n = 0; n < repositories; n++) github.addRepository(nameOf(n))
  try {
    await using relay = await startServer('relay/dist/main.js', {
      ...relayEnvironment(`sqlite:${join(folder.path, 'relay.db')}`, github.url),
      GITHUB_TOKEN: github.token,
      PORT_CLIENT_ID: port.clientId,
      PORT_CLIENT_SECRET: port.clientSecret,
      PORT_API_URL: port.url,
      RELAY_ALLOWED_REPOSITORIES: 'acme/*',
      ...(webhooks && { GITHUB_WEBHOOK_SECRET: GITHUB_SECRET }),
    })
    const times = new Map<string, Times>()
    const tell = (run: GitHubRun) =>
      webhooks ? sendRunWebhook(relay.url, run, { github, secret: GITHUB_SECRET }) : undefined
    github.onDispatch(async ({ repository, eventType, clientPayload }) => {
      const runId = String(clientPayload.run_id)
      const mine = times.get(runId) as Times
      mine.dispatch = performance.now()
      await sleep(RUN_STARTS_MS)
      const run = github.createRun({
        repository,
        displayTitle: `${eventType} ${runId}`,
        status: 'in_progress',
      })
      mine.started = performance.now()
      await tell(run)
      await sleep(RUN_TAKES_MS)
      mine.ended = performance.now()
      await tell(github.setRun(run.id, { status: 'completed', conclusion: 'success' }))
    })
    const reader = setInterval(() => {
      for (const [runId, mine] of times) {
        if (mine.final) continue
        const { statusLabel, link, status } = port.run(runId)
        const now = performance.now()
        if (statusLabel) mine.waiting ??= now
        if (mine.started && [link].flat().some(each => each?.includes('/runs/'))) mine.link ??= now
        if (status !== 'IN_PROGRESS') mine.final ??= now
      }
    }, READ_EVERY_MS)
    try {
      for (let n = 0; n < count; n++) {
        const { id } = port.createRun({ action: 'deploy' })
        const body = JSON.stringify({
          run: { id },
          action: { identifier: 'deploy' },
          inputs: { version: '1.2.3' },
          github: { repository: nameOf(n) },
        })
        times.set(id, { sent: performance.now() })
        const headers = { 'content-type': 'application/json', ...signWebhook(body, port.clientSecret) }
        const response = await fetch(`${relay.url}/webhook`, { method: 'POST', body, headers })
        if (response.status !== 202)
          throw new Error(`A webhook got ${response.status}: ${await response.text()}`)
        await sleep(everyMs)
      }
      const until = performance.now() + LONGEST_MS
      while ([...times.values()].some(({ final }) => !final)) {
        if (performance.now() > until) throw new Error('Not every run was finished in Port')
        await sleep(50)
      }
    } finally {
      clearInterval(reader)
    }
    const all = [...times.values()] as Required<Times>[]
    const quantiles = (read: (mine: Required<Times>) => number): Quantiles => ({
      p50: percentile(all.map(read), 50),
      p99: percentile(all.map(read), 99),
    })
    return {
      ...{ load, webhooks },
      waiting: quantiles(({ waiting, sent }) => waiting - sent),
      dispatch: quantiles(({ dispatch, sent }) => dispatch - sent),
      link: quantiles(({ link, started }) => link - started),
      final: quantiles(({ final, ended }) => final - ended),
      requests: github.requests.length / count,
    }
  } finally {
    await Promise.all([port.close(), github.close()])
  }
}
