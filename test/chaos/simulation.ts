import { join } from 'node:path'
import { type PortClient, PortError } from '../../port/client/client.ts'
import type { RunUpdate } from '../../port/types.ts'
import type { NewDelivery } from '../../relay/delivery/delivery.ts'
import type { GitHub } from '../../relay/github/client.ts'
import { createRateLimitPauses } from '../../relay/github/rate-limit-pause.ts'
import type { WorkflowRun } from '../../relay/github/runs.ts'
import { openStore } from '../../relay/store/open.ts'
import type { Store } from '../../relay/store/store.ts'
import { createDispatchRate } from '../../relay/workers/dispatch.ts'
import { createFindByTitle, createFindOwners } from '../../relay/workers/find-runs.ts'
import { createEngine } from '../../relay/workers/workers.ts'
import { seededRandom } from '../support/random.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const START_TIMEOUT = 10 * MINUTE
const BEGIN = 1_790_000_000_000
const EVENT_TYPES = ['deploy', 'restart']

/** A workflow run, and when GitHub's list includes it. */
interface Run extends WorkflowRun {
  repository: string
  /** The delivery that started the run; null if the relay didn't start it. */
  of: Case | null
  listedAt: number
}

/** A delivery and its actual outcome. */
interface Case {
  id: string
  runId: string
  repository: string
  eventType: string
  isTitled: boolean
  /** The number of dispatches that took effect. */
  dispatches: number
  runs: Run[]
  externalRunId: number | null
  /** Whether the action itself finished the Port run. */
  isReported: boolean
  end: { at: number; update: RunUpdate } | null
}

export interface Findings {
  deliveries: number
  runs: number
  restarts: number
  succeeded: number
  failed: number
  unidentified: number
  /** One message for each Port run whose result differs from the workflow run's result. */
  wrong: string[]
  /** Deliveries reported as "cannot be identified" although a run title contains their id. */
  wronglyUnidentified: string[]
  open: string[]
  /** Deliveries that were dispatched twice although a title identified the first workflow run. */
  twice: string[]
}

/**
 * Simulates streams of deliveries to several repositories. All, some, or none of the workflow runs have titles. GitHub
 * lists runs in any order, late, or never. Some dispatches start nothing, or their response is lost. The engine uses a
 * real SQLite file. The clock, GitHub, and Port are simulated, so nothing depends on real time.
 */
export async function simulate(options: {
  deliveries: number
  seed: number
  folder: string
}): Promise<Findings> {
  const random = seededRandom(options.seed)
  const chance = (share: number) => random() < share
  const between = (least: number, most: number) => least + random() * (most - least)
  let at = BEGIN
  const clock = () => at
  const file = await openStore({ kind: 'sqlite', path: join(options.folder, 'simulation.db') })
  const schedule = createSchedule()
  /** Adds to the schedule the times at which the engine has work. */
  const store: Store = {
    ...file,
    clock,
    async apply(all, now) {
      for (const { change, messages } of all.map(({ transition }) => transition)) {
        if (change.dueAt) schedule.add(change.dueAt)
        if (messages.length > 0) schedule.add(now)
      }
      return file.apply(all, now)
    },
    async settleOutbox(page, sent, retryAt, now) {
      schedule.add(retryAt ?? now)
      return file.settleOutbox(page, sent, retryAt, now)
    },
  }
  const runsOf = new Map<string, Run[]>()
  const cases = new Map<string, Case>()
  let nextRunId = 1_000_000

  function createRun(of: Case | null, repository: string, title: string, more: Partial<Run> = {}): Run {
    const createdAt = Math.floor(at / SECOND) * SECOND
    const id = nextRunId++
    const run: Run = {
      ...{ id, attempt: 1, workflowId: 1, workflow: 'deploy.yml', ref: 'main', event: 'repository_dispatch' },
      ...{ title, status: 'queued', conclusion: null, createdAt, updatedAt: createdAt, repository, of },
      ...{ url: `https://github.com/${repository}/actions/runs/${id}`, listedAt: at },
      ...more,
    }
    const runs = runsOf.get(repository) ?? []
    runsOf.set(repository, runs)
    runs.push(run)
    of?.runs.push(run)
    schedule.add(at + between(0, 30 * SECOND), () => {
      if (run.status === 'queued') run.status = 'in_progress'
    })
    schedule.add(at + between(5 * SECOND, chance(0.1) ? 40 * MINUTE : 8 * MINUTE), () => {
      const conclusion = chance(0.6) ? 'success' : 'failure'
      Object.assign(run, { status: 'completed', conclusion, updatedAt: at })
    })
    return run
  }

  /** Applies the effects of a dispatch. */
  function takeEffect(one: Case, isPrompt: boolean): void {
    one.dispatches++
    if (!isPrompt && chance(0.06)) return
    const lag = isPrompt || chance(0.7) ? between(0, 3 * SECOND) : between(0, START_TIMEOUT / 2)
    schedule.add(at + lag, () => {
      const hidden =
        isPrompt || chance(0.7) ? between(0, 2 * SECOND) : between(0, START_TIMEOUT / 2 - 20 * SECOND)
      const title = one.isTitled ? `${one.eventType} ${chance(0.5) ? one.runId : one.id}` : one.eventType
      const run = createRun(one, one.repository, title, { listedAt: at + hidden })
      if (one.isTitled && chance(0.05)) {
        // A second workflow has the same trigger, and the title of its run also contains the delivery's ID.
        createRun(one, one.repository, `lint ${one.runId}`, { listedAt: run.listedAt, workflowId: 2 })
        return
      }
      if (!one.isTitled && lag < 3 * SECOND && hidden < 2 * SECOND && chance(0.1)) {
        createRun(null, one.repository, one.eventType)
      }
      const dice = random()
      if (dice < 0.15) schedule.add(at + 3 * SECOND, () => report(one, run))
      else if (dice < 0.3) {
        schedule.add(at + 3 * SECOND, () => {
          one.externalRunId ??= run.id
        })
      }
    })
  }

  async function report(one: Case, run: Run): Promise<void> {
    const delivery = await store.get(one.id)
    const seen = { id: run.id, attempt: 1, evidence: 'report' as const, past: false }
    const event = { ...seen, status: 'in_progress', conclusion: null, url: run.url }
    if (delivery) await engine.apply(delivery, { type: 'runReported', run: event })
  }

  const shown = ({ of: _, repository, listedAt, ...run }: Run): WorkflowRun => run
  const github = {
    serverUrl: 'https://github.com',
    clockOffset: () => 0,
    facts: {
      limitOf: () => 'token',
      perMinute: () => 36,
      rateLimitRemaining: () => null,
      tokenExpiresAt: () => null,
    },
    async dispatch(_, { payload }) {
      const one = cases.get(String(payload.run_id)) as Case
      const dice = random()
      if (dice < 0.02) return { kind: 'response_lost', reason: 'GitHub responded with 502' }
      takeEffect(one, dice <= 0.06)
      if (dice < 0.05) return { kind: 'response_lost', reason: 'GitHub responded with 502' }
      // The relay is killed before recording the response.
      if (dice < 0.06) throw new Error('killed')
      return { kind: 'accepted', run: null }
    },
    async runsPage(repository, page) {
      if (chance(0.02)) throw new Error('away')
      const listed = (runsOf.get(repository) ?? []).filter(run => run.listedAt <= at)
      // GitHub lists runs that started at about the same time in any order.
      const sorted = listed
        .map(run => [run.createdAt + between(-1, 1) * SECOND, run] as const)
        .sort(([a], [b]) => b - a)
        .map(([, run]) => shown(run))
      return { data: sorted.slice((page - 1) * 100, page * 100), etag: null }
    },
    async run(repository, id) {
      const run = runsOf.get(repository)?.find(each => each.id === id)
      if (!run) throw new Error('no such run')
      return { data: shown(run), etag: null }
    },
    countRuns: async () => 0,
    jobs: async () => ({ jobs: [], total: 0 }),
    jobLog: async () => null,
    workflowFiles: async () => [],
    workflowFile: () => Promise.reject(new Error('no such file')),
  } as Partial<GitHub> as GitHub

  const client = {
    pausedUntil: () => 0,
    run(runId: string) {
      const one = cases.get(runId) as Case
      const open = () => {
        if (chance(0.02)) throw new PortError('unreachable', 'Port is away.', { status: 503 })
        if (one.end || one.isReported) throw new PortError('finished', 'The run has ended.', { status: 422 })
      }
      return {
        ...{ id: runId, kind: 'action_run' as const },
        async read() {
          if (chance(0.02)) throw new PortError('unreachable', 'Port is away.', { status: 503 })
          const ended = one.end !== null || one.isReported
          const status = ended ? ('success' as const) : ('in_progress' as const)
          const externalRunId = one.externalRunId === null ? null : String(one.externalRunId)
          return { status, finished: ended, externalRunId, synchronized: false, properties: null, body: null }
        },
        async update(update: RunUpdate) {
          open()
          if (update.conclusion) one.end = { at, update }
        },
        async log() {
          open()
        },
      }
    },
  } as Partial<PortClient> as PortClient

  const pauses = createRateLimitPauses({ token: 'none' }, clock)
  const policy = () => ({
    startTimeout: START_TIMEOUT,
    runTimeout: 24 * 60 * MINUTE,
    serverUrl: github.serverUrl,
    timeoutsFrom: 0,
  })
  const log = { debug() {}, info() {}, warn() {} }
  const findOwners = createFindOwners(createFindByTitle(store))
  const never = new AbortController().signal
  const open = () =>
    createEngine({
      ...{ store, github, pauses, client, findOwners, policy, publicUrl: null },
      rate: createDispatchRate(0),
      ...{ retention: 30 * 24 * 60 * MINUTE, log, throttled: log, onTransition() {}, onAttempt() {} },
    })
  let engine = open()
  let restarts = 0

  planDeliveries()
  for (let next = schedule.next(); next !== null; next = schedule.next()) {
    at = Math.max(at, Math.ceil(next / SECOND) * SECOND)
    await schedule.run(at)
    // Work that stays claimed, for example after a failure, becomes due when its lease expires.
    if (await work()) schedule.add(at + MINUTE)
  }
  const findings = await judge()
  await store.close()
  return findings

  async function work(): Promise<boolean> {
    for (let worked = false; ; worked = true) {
      const queued = await store.claimQueued(at, 55 * SECOND, 100, pauses.scope)
      // After a kill, the lease expires.
      await Promise.all(queued.map(each => engine.dispatch(each, never).catch(() => {})))
      const watched = await store.claimPolls(at, MINUTE, 200)
      await Promise.all(watched.map(each => engine.poll(each)))
      const pages = await store.claimOutboxes(at, MINUTE, 200)
      await Promise.all(pages.map(page => engine.outbox(page, never)))
      if (queued.length + watched.length + pages.length === 0) return worked
    }
  }

  /** Creates one stream per repository. Some streams are dense, others pause for longer than the start timeout. */
  function planDeliveries(): void {
    const repositories = Math.max(4, Math.min(40, Math.round(options.deliveries / 40)))
    const styles = [() => true, () => false, () => chance(0.5)]
    for (let n = 0; n < repositories; n++) {
      const repository = `acme/shop-${n}`
      const isTitled = styles[n % styles.length] as () => boolean
      const pause = [5 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE][n % 4] as number
      let when = BEGIN + between(0, MINUTE)
      const amount =
        Math.floor(options.deliveries / repositories) + Number(n < options.deliveries % repositories)
      for (let i = 0; i < amount; i++) {
        when += between(0, 2 * pause)
        schedule.add(when, () => accept(repository, isTitled(), n % 5 === 0))
      }
      for (let foreign = BEGIN; foreign < when; foreign += between(5 * MINUTE, 40 * MINUTE)) {
        const title = `deploy r_${Math.floor(between(1e11, 1e12)).toString(36)}X0`
        schedule.add(foreign, () => void createRun(null, repository, title))
      }
    }
    const last = schedule.last()
    for (let restart = BEGIN + MINUTE; restart < last; restart += between(5 * MINUTE, 30 * MINUTE)) {
      schedule.add(restart, () => {
        engine = open()
        restarts++
      })
    }
  }

  async function accept(repository: string, isTitled: boolean, hasTypes: boolean): Promise<void> {
    const number = cases.size
    const runId = `r_${String(number).padStart(12, '0')}aB0x`
    const id = `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`
    const eventType = EVENT_TYPES[hasTypes && chance(0.3) ? 1 : 0] as string
    const truth = { dispatches: 0, runs: [], externalRunId: null, isReported: false, end: null }
    cases.set(runId, { id, runId, repository, eventType, isTitled, ...truth })
    const invocation = {
      ...{ runId, runIdFrom: 'body', kind: 'action_run', action: 'deploy', operation: null, blueprint: null },
      ...{ entity: null, inputs: {}, encrypted: [], event: null, trigger: null, github: null },
    }
    const delivery: NewDelivery = {
      ...{ id, dedupeKey: `run:${runId}`, sentAs: '', signature: null, runId },
      ...{ kind: 'action_run', action: 'deploy', repository, eventType, workflow: null, ref: null },
      ...{ invocation: JSON.stringify(invocation), receivedAt: at },
    }
    await store.accept(delivery)
  }

  async function judge(): Promise<Findings> {
    const findings: Findings = {
      ...{ deliveries: cases.size, runs: nextRunId - 1_000_000, restarts },
      ...{ succeeded: 0, failed: 0, unidentified: 0 },
      ...{ wrong: [], wronglyUnidentified: [], open: [], twice: [] },
    }
    const untitledIn = new Set(
      [...cases.values()].filter(each => !each.isTitled).map(each => each.repository),
    )
    for (const one of cases.values()) {
      const { end, runs } = one
      const about = `${one.runId} in ${one.repository} (${one.isTitled ? 'titled' : 'untitled'}, ${one.dispatches} dispatches, runs ${runs.map(run => `${run.id} ${run.conclusion} at ${run.updatedAt - BEGIN}`).join() || 'none'})`
      if (one.isTitled && one.dispatches > 1) findings.twice.push(about)
      if (!end) {
        findings.open.push(`${about}: ${JSON.stringify(await store.get(one.id))}`)
        continue
      }
      const { conclusion, statusLabel } = end.update
      const shows = `${about}: ${conclusion} "${statusLabel}" at ${end.at - BEGIN}`
      if (statusLabel === 'Not identified') {
        findings.unidentified++
        const mayBe = !one.isTitled || (runs.length === 0 && untitledIn.has(one.repository))
        if (!mayBe) findings.wronglyUnidentified.push(shows)
        continue
      }
      findings[conclusion === 'success' ? 'succeeded' : 'failed']++
      const ended = runs.filter(run => run.status === 'completed' && run.updatedAt <= end.at)
      const hasFailed = ended.some(run => run.conclusion === 'failure')
      const isRight =
        conclusion === 'success'
          ? ended.some(run => run.conclusion === 'success') &&
            (runs.length > one.dispatches || runs.length === 1 || !one.isTitled)
          : hasFailed || (runs.length === 0 && statusLabel === 'Not started')
      if (!isRight) findings.wrong.push(shows)
    }
    return findings
  }
}

/** A queue of work, ordered by time. */
function createSchedule() {
  /** Sorted by time, latest first. */
  const events: { at: number; work: () => unknown }[] = []
  return {
    add(at: number, work: () => unknown = () => {}) {
      const later = events.findLastIndex(each => each.at > at)
      events.splice(later + 1, 0, { at, work })
    },
    async run(now: number) {
      for (let next = events.at(-1); next && next.at <= now; next = events.at(-1)) {
        events.pop()
        await next.work()
      }
    },
    next: () => events.at(-1)?.at ?? null,
    last: () => events[0]?.at ?? 0,
  }
}
