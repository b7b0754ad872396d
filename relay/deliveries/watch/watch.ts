import type { RunState } from '../../port/types.ts'
import type { Budget } from '../github/budget.ts'
import type { GitHub } from '../github/client.ts'
import type { Look, RunLister } from '../github/run-lister.ts'
import type { WorkflowRun } from '../github/workflow-run.ts'
import type { Delivery } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'
import { createPortAsker, NO_PORT_RUN } from './ask-port.ts'
import { findFailedJobs, type JobsFound } from './failed-jobs.ts'
import { findMatch } from './find-match.ts'
import { LAG_MS, LEEWAY_MS, type Match, madeSince, othersMadeSince, plainSince } from './match-run.ts'
import { type EndedRun, tellEnding } from './tell-ending.ts'
import { toGithubRunId } from './to-github-run-id.ts'
import { askPause, isEnded, judge, pastBy, pause, preferOwn, type Seen, type Times } from './watch-decide.ts'
import { endOfRun, endWithoutRun, type NoRun } from './watch-words.ts'

export interface WatchParts extends Times {
  store: Pick<Store, 'record' | 'sentBetween' | 'findBound'>
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
  /** When the delivery was queued: redelivered, nothing holds any more. */
  queuedAt: number
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
/** A dispatch without a run for so long has none, where another is sent and has one at once. */
const LATEST_RUN_MS = 60_000

/**
 * The watch: each step looks at one dispatched or running delivery, and moves it on when its workflow run
 * was seen, has ended, or had all the time it may have.
 */
export function createWatch(parts: WatchParts): (delivery: Delivery) => Promise<void> {
  const { store, lister, clock, readPort } = parts
  const asker = createPortAsker(readPort, clock)
  const notes = new Map<string, Note>()

  return async delivery => {
    const { repository } = delivery
    const hasPort = readPort !== null && delivery.runId !== null && delivery.kind !== 'none'
    const want = { since: madeSince(delivery), runId: delivery.githubRunId }
    let look = await lister.look(repository, want, pause(delivery, clock()))
    let match = await find(delivery, look, delivery.githubRunId)
    if (isOfMany(match)) {
      // Each time, so that the next reading goes back as far.
      const since = othersMadeSince(delivery)
      const further = await lister.look(repository, { ...want, since }, pause(delivery, clock()))
      if (further.readAt !== look.readAt) match = await find(delivery, further, delivery.githubRunId)
      look = further
    }
    const known = note(delivery)
    if (match.kind === 'own') known.sawRun = match.runs[0]?.id ?? null
    else if (match.kind !== 'known' && known.sawRun !== null) {
      // Deleted, or behind so many newer runs that the list no longer shows it.
      const id = known.sawRun
      look = await lister.look(repository, { ...want, runId: id }, pause(delivery, clock()))
      const run = look.runs.find(each => each.id === id)
      match = run ? { kind: 'own', runs: [run] } : { kind: 'known', id, run: null, guessed: true }
    }
    let port: Seen['port'] = hasPort ? 'unasked' : NO_PORT_RUN
    let verdict = judge(delivery, seen(), parts)
    if (verdict.kind === 'ask Port') {
      port = await asker.ask(delivery)
      known.askAt = Math.max(clock() + askPause(delivery, clock()), asker.freeAt())
      const named = toGithubRunId(typeof port === 'object' ? port.externalRunId : null)
      if (named !== null && delivery.githubRunId === null && !(await isOver(delivery, named))) {
        look = await lister.look(repository, { ...want, runId: named }, pause(delivery, clock()))
        match = preferOwn(match, await find(delivery, look, named), look.gone)
      }
      verdict = judge(delivery, seen(), parts)
    }

    // What has ended in Port is told nothing more.
    const tells = hasPort && !(typeof port === 'object' && port.ended)
    const about = { named: match.kind === 'known', byOrder: match.kind === 'plain', past: pastBy(match) }
    switch (verdict.kind) {
      case 'ask Port':
        return
      case 'wait':
      case 'finish':
        if (verdict.kind === 'finish') notes.delete(delivery.id)
        await store.record(delivery, verdict.change, clock())
        return
      case 'end':
        return end(delivery, { run: verdict.run, ...about }, tells)
      case 'end without': {
        const cause = await explain(verdict.cause, repository)
        const ending = endWithoutRun(cause, delivery)
        const ended = { run: verdict.run, ...about }
        return write(delivery, tellEnding(delivery, ending, ended, [], parts.github.serverUrl), tells)
      }
    }

    function seen(): Seen {
      const now = clock()
      known.endedAt = isEnded(match) ? (known.endedAt ?? now) : null
      const { endedAt: endedSeenAt, askAt } = known
      return { now, look, match, port, portDue: now >= askAt, portAt: asker.freeAt(), endedSeenAt }
    }
  }

  /** Its run by what is known of it, by its title, or by order, where others that have none by now will have none. */
  async function find(delivery: Delivery, look: Look, runId: number | null): Promise<Match> {
    const { startTimeout } = parts
    const match = await findMatch(delivery, look, runId, { store, startTimeout, lag: LAG_MS })
    const isUnsure = isOfMany(match) && (match.kind === 'strange' || match.missing)
    const sentAt = plainSince(delivery) + LEEWAY_MS
    if (!isUnsure || clock() < sentAt + LATEST_RUN_MS) return match
    const late = await findMatch(delivery, look, runId, { store, startTimeout, lag: LATEST_RUN_MS })
    const isAtOnce =
      late.kind === 'plain' &&
      !late.missing &&
      late.own.every(({ createdAt }) => createdAt <= sentAt + LEEWAY_MS)
    return isAtOnce ? late : match
  }

  /** Whether its runs are told from those of other deliveries by order. */
  function isOfMany(match: Match): match is Extract<Match, { kind: 'plain' | 'strange' }> {
    return match.kind === 'plain' || match.kind === 'strange'
  }

  function note({ id, queuedAt }: Delivery): Note {
    const before = notes.get(id)
    const known = before?.queuedAt === queuedAt ? before : { queuedAt, endedAt: null, askAt: 0, sawRun: null }
    notes.set(id, known)
    // Another relay may have taken a delivery to its end.
    const oldest = notes.size > MAX_NOTES ? notes.keys().next().value : undefined
    if (oldest !== undefined) notes.delete(oldest)
    return known
  }

  async function end(
    delivery: Delivery,
    ended: EndedRun & { run: WorkflowRun },
    tells: boolean,
  ): Promise<void> {
    const { run } = ended
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
    return write(delivery, tellEnding(delivery, ending, ended, lines, parts.github.serverUrl), tells)
  }

  async function write(
    delivery: Delivery,
    { change, reports }: ReturnType<typeof tellEnding>,
    tells: boolean,
  ): Promise<void> {
    notes.delete(delivery.id)
    await store.record(delivery, change, clock(), tells ? reports : [])
  }

  /** Whether a run that Port names was the delivery's before it was redelivered, or is another's. */
  async function isOver({ id, repository, pastRuns }: Delivery, runId: number): Promise<boolean> {
    if (pastRuns.includes(runId)) return true
    const owners = await store.findBound(repository, [runId])
    return owners.some(owner => owner.id !== id)
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
