import type { RunState } from '../../port/client.ts'
import type { Budget } from '../github/budget.ts'
import type { GitHub } from '../github/client.ts'
import { type Match, madeSince, matchRuns } from '../github/match-run.ts'
import type { Look, RunLister } from '../github/run-lister.ts'
import type { WorkflowRun } from '../github/workflow-run.ts'
import type { Delivery } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'
import { findFailedJobs, type JobsFound } from './failed-jobs.ts'
import { tellEnding } from './tell-ending.ts'
import { askPause, isEnded, judge, pause, type Seen, type Times } from './watch-decide.ts'
import { endOfRun, endWithoutRun, type NoRun } from './watch-words.ts'

export interface WatchParts extends Times {
  store: Pick<Store, 'record' | 'unmatched' | 'findByGithubRun'>
  github: Pick<GitHub, 'jobs' | 'jobLog' | 'workflows' | 'serverUrl'>
  lister: RunLister
  /** Requests for jobs, their logs and workflows. */
  details: Budget
  /** Port's run; null where Port cannot be asked at all. @throws where Port did not answer */
  readPort: ((runId: string) => Promise<RunState>) | null
  clock: () => number
}

/** What this relay remembers of a delivery from look to look; without it, it only looks more often. */
interface Note {
  /** When it first saw the run ended. */
  endedAt: number | null
  /** When Port is to be asked again which run is meant. */
  askAt: number
  /** The run that the title named last. */
  sawRun: number | null
}

/** Details wait for the budget no longer than this after the run's end. */
const DETAILS_MS = 60_000
const MAX_NOTES = 20_000
/** Where Port has no run that could have ended. */
const NO_PORT_RUN: RunState = {
  status: 'in_progress',
  ended: false,
  externalRunId: null,
  synchronized: false,
  properties: null,
  body: null,
}

/**
 * The watch: each step looks at one dispatched or running delivery, and moves it on when its workflow run
 * was seen, has ended, or had all the time it may have.
 */
export function createWatch(parts: WatchParts): (delivery: Delivery) => Promise<void> {
  const { store, lister, clock, readPort } = parts
  const notes = new Map<string, Note>()

  return async delivery => {
    const { repository } = delivery
    const tells = readPort !== null && delivery.runId !== null && delivery.kind !== 'none'
    const want = { since: madeSince(delivery), runId: delivery.githubRunId }
    let look = await lister.look(repository, want, pause(delivery, clock()))
    let match = await matchIn(delivery, look, delivery.githubRunId)
    const known = note(delivery)
    if (match.kind === 'own') known.sawRun = match.runs[0]?.id ?? null
    else if (match.kind !== 'known' && known.sawRun !== null) {
      // Deleted, or behind so many newer runs that the list no longer shows it.
      const id = known.sawRun
      look = await lister.look(repository, { ...want, runId: id }, pause(delivery, clock()))
      const run = look.runs.find(each => each.id === id)
      match = run ? { kind: 'own', runs: [run] } : { kind: 'known', id, run: null, guessed: true }
    }
    let port: Seen['port'] = tells ? 'unasked' : NO_PORT_RUN
    let verdict = judge(delivery, seen(), parts)
    if (verdict.kind === 'ask Port') {
      port = (await readPort?.(delivery.runId as string).catch(() => 'unread' as const)) ?? 'unread'
      known.askAt = clock() + askPause(delivery, clock())
      const named = numeric(typeof port === 'object' ? port.externalRunId : null)
      if (named !== null && delivery.githubRunId === null) {
        look = await lister.look(repository, { ...want, runId: named }, pause(delivery, clock()))
        match = await matchIn(delivery, look, named)
      }
      verdict = judge(delivery, seen(), parts)
    }

    switch (verdict.kind) {
      case 'ask Port':
        return
      case 'wait':
      case 'finish':
        if (verdict.kind === 'finish') notes.delete(delivery.id)
        await store.record(delivery, verdict.change, clock())
        return
      case 'end':
        return end(delivery, verdict.run, tells)
      case 'end without': {
        const cause = await explain(verdict.cause, repository)
        const ending = endWithoutRun(cause, delivery)
        return write(delivery, tellEnding(delivery, ending, verdict.run, [], parts.github.serverUrl), tells)
      }
    }

    function seen(): Seen {
      const now = clock()
      known.endedAt = isEnded(match) ? (known.endedAt ?? now) : null
      return { now, look, match, port, portDue: now >= known.askAt, endedSeenAt: known.endedAt }
    }
  }

  function note({ id }: Delivery): Note {
    const known = notes.get(id) ?? { endedAt: null, askAt: 0, sawRun: null }
    notes.set(id, known)
    // Another relay may have taken a delivery to its end.
    const oldest = notes.size > MAX_NOTES ? notes.keys().next().value : undefined
    if (oldest !== undefined) notes.delete(oldest)
    return known
  }

  async function end(delivery: Delivery, run: WorkflowRun, tells: boolean): Promise<void> {
    let found: JobsFound | null = { jobs: null, lines: [] }
    if (tells && !['success', 'neutral', 'skipped', 'startup_failure'].includes(run.conclusion ?? '')) {
      found = await findFailedJobs(delivery.repository, run, { github: parts.github, budget: parts.details })
      const now = clock()
      if (!found && now - (note(delivery).endedAt ?? now) < DETAILS_MS) {
        const dueAt = Math.max(now + 1_000, parts.details.freeAt())
        await store.record(delivery, { dueAt }, now)
        return
      }
    }
    const { jobs, lines } = found ?? { jobs: null, lines: [] }
    const ending = endOfRun(run, jobs, delivery.repository)
    return write(delivery, tellEnding(delivery, ending, run, lines, parts.github.serverUrl), tells)
  }

  async function write(
    delivery: Delivery,
    { change, reports }: ReturnType<typeof tellEnding>,
    tells: boolean,
  ): Promise<void> {
    notes.delete(delivery.id)
    await store.record(delivery, change, clock(), tells ? reports : [])
  }

  /** Only where titles alone do not tell are the other deliveries of the repository looked at. */
  async function matchIn(delivery: Delivery, look: Look, runId: number | null): Promise<Match> {
    const alone = { runId, others: [], taken: new Set<number>() }
    const match = matchRuns(delivery, look.runs, alone)
    if (match.kind !== 'plain' && match.kind !== 'strange') return match
    const others = await store.unmatched(delivery.repository)
    const taken = new Set<number>()
    await Promise.all(
      match.runs.map(async run => {
        const owner = await store.findByGithubRun(delivery.repository, run.id)
        if (owner && owner.id !== delivery.id) taken.add(run.id)
      }),
    )
    return matchRuns(delivery, look.runs, { runId, others, taken })
  }

  /** What else can be said of a repository in which nothing listens. */
  async function explain(cause: NoRun, repository: string): Promise<NoRun> {
    if (cause.why !== 'nothing listens' || !parts.details.take()) return cause
    try {
      const workflows = await parts.github.workflows(repository)
      const disabled = workflows.filter(each => each.state.startsWith('disabled')).map(each => each.name)
      return { ...cause, disabled, workflows: workflows.length }
    } catch {
      return cause
    }
  }
}

const numeric = (id: string | null): number | null =>
  id !== null && /^\d{1,15}$/.test(id) ? Number(id) : null
