import type { RunState } from '../../port/types.ts'
import type { Look } from '../github/run-lister.ts'
import type { WorkflowRun } from '../github/workflow-run.ts'
import type { Change, Delivery } from '../store/delivery.ts'
import { type Match, madeSince } from './match-run.ts'
import type { NoRun } from './watch-words.ts'

/** What one look at a delivery showed. */
export interface Seen {
  now: number
  look: Look
  match: Match
  /** Port's run; `unasked` as long as the verdict has not asked for it, `unread` where Port did not answer. */
  port: RunState | 'unasked' | 'unread'
  /** Whether it is time to ask Port again which run is meant. */
  portDue: boolean
  /** Port wants not to be asked before then, milliseconds since 1970. */
  portAt: number
  /** When this relay first saw the matched run ended; null where it has not. */
  endedSeenAt: number | null
}

export type Verdict =
  | { kind: 'ask Port' }
  /** Look again at `change.dueAt`. */
  | { kind: 'wait'; change: Change }
  /** It has ended, and whoever ended it told Port. */
  | { kind: 'finish'; change: Change }
  /** It has ended, and Port is to be told how. */
  | { kind: 'end'; run: WorkflowRun }
  | { kind: 'end without'; cause: NoRun; run: WorkflowRun | null }

export interface Times {
  startTimeout: number
  runTimeout: number
  /** How long after a run's end somebody may still tell Port. */
  grace: number
}

/** Between looks: soon at first, then less often. With the list's own interval, below a minute. */
const SOONEST_MS = 3_000
const LATEST_MS = 15_000
/** Where only Port can be asked, once for each delivery. */
const LATEST_BLIND_MS = 60_000
const LATEST_ASK_MS = 300_000
/** So long GitHub must have refused before its refusal is taken for its last word. */
const REFUSED_MS = 60_000

/** How long until Port is asked again which run is meant: an action that does not say so at its start never will. */
export const askPause = (delivery: Delivery, now: number): number =>
  Math.max(SOONEST_MS, Math.min(LATEST_ASK_MS, (now - begun(delivery)) / 3))

/** How long a delivery waits for its next look, by how long ago it was dispatched. */
export function pause(delivery: Delivery, now: number, blind = false): number {
  const age = now - begun(delivery)
  return Math.max(SOONEST_MS, Math.min(blind ? LATEST_BLIND_MS : LATEST_MS, age / 6))
}

/** What becomes of a dispatched or running delivery. Pure. */
export function judge(delivery: Delivery, seen: Seen, times: Times): Verdict {
  const { now, look, match, port } = seen
  const startBy = begun(delivery) + times.startTimeout
  const endBy = begun(delivery) + times.runTimeout
  const late = now >= endBy
  const ended = isEnded(match)
  const asked = port !== 'unasked'
  const overdue = now >= startBy && (match.kind === 'none' || match.kind === 'strange')
  const needsPort = ended || late || overdue || (isUnclear(match) && seen.portDue) || !sees(look, match)
  const settled = match.kind === 'known' && match.run !== null && !ended && !late
  if (!asked && needsPort && !settled) return { kind: 'ask Port' }

  const change = bound(delivery, match)
  if (typeof port === 'object' && port.ended && !isRedelivered(delivery)) {
    return { kind: 'finish', change: closed(change) }
  }
  const blind = look.access !== 'read' || look.gone
  const wait = (until = Number.POSITIVE_INFINITY): Verdict => {
    const asks = port === 'unread' ? seen.portAt : 0
    const next = Math.max(now + pause(delivery, now, blind), look.nextAt, asks)
    const limits = [until, startBy, endBy].filter(limit => limit > now)
    return { kind: 'wait', change: { ...change, dueAt: Math.ceil(Math.min(next, ...limits)) } }
  }
  // Port may have been told meanwhile; nobody else is asked to wait for it longer than the run itself may take.
  if (port === 'unread' && !late) return wait()
  const without = (cause: NoRun, run: WorkflowRun | null = null): Verdict => ({
    kind: 'end without',
    cause,
    run,
  })

  // A run that Port alone names may be one of another repository, which the workflow handed its work to.
  const wasHere = match.kind === 'known' && (match.guessed || delivery.githubRunAttempt !== null)
  if (wasHere && look.gone) return without({ why: 'deleted' })
  if (ended && match.kind !== 'none') {
    const quiet = (seen.endedSeenAt ?? now) + times.grace
    if (now < quiet) return { kind: 'wait', change: { ...change, dueAt: quiet } }
    const verdict = endOf(match, now >= startBy)
    if (verdict) return verdict
  }
  if (late) return without(tooLate(match, look, times), match.kind === 'known' ? match.run : null)
  if (now < startBy || match.kind === 'known' || match.kind === 'own' || match.kind === 'plain') return wait()

  // Nothing was seen, and it had all the time it may have.
  if (look.access === 'unavailable') return wait()
  if (match.kind === 'strange') return wait()
  if (look.access === 'forbidden') {
    // Of a node run not even Port's view can be had: what runs unseen must not be ended.
    if (typeof port === 'object' && port.status === 'unknown') return wait()
    if (look.refusedFor < REFUSED_MS) return wait()
    return without({
      why: 'not seen',
      reason: look.reason ?? 'GitHub does not show it',
      startTimeout: times.startTimeout,
    })
  }
  if ((look.readAt ?? 0) < startBy || look.covers >= madeSince(delivery)) return wait()
  return without({ why: 'nothing listens', disabled: [], workflows: null })
}

function endOf(match: Exclude<Match, { kind: 'none' }>, overdue: boolean): Verdict | null {
  switch (match.kind) {
    case 'known':
      return match.run && { kind: 'end', run: match.run }
    case 'own': {
      const worst = worstOf(match.runs)
      return worst && { kind: 'end', run: worst }
    }
    case 'plain': {
      const worst = worstOf(match.own)
      if (!worst || (match.missing && !overdue)) return null
      // Which of several it is matters only where they ended differently.
      const differs = match.runs.find(run => {
        const own = match.own.find(each => each.workflowId === run.workflowId)
        return own?.conclusion !== run.conclusion
      })
      if (!differs) return { kind: 'end', run: worst }
      const cause: NoRun = { why: 'which', amount: match.runs.length }
      return { kind: 'end without', cause, run: null }
    }
    case 'strange': {
      if (!overdue) return null
      const cause: NoRun = { why: 'unnamed', amount: match.runs.length }
      return { kind: 'end without', cause, run: null }
    }
  }
}

function tooLate(match: Match, look: Look, { runTimeout }: Times): NoRun {
  const reason = look.reason ?? 'GitHub shows no such run'
  if (match.kind === 'known' && !match.run) return { why: 'end not seen', runTimeout, reason }
  if (match.kind === 'none') return { why: 'unknown', runTimeout, reason }
  const open = match.kind === 'known' ? match.run : match.runs.find(run => run.status !== 'completed')
  return { why: 'too long', runTimeout, status: open?.status ?? 'unknown' }
}

const worstOf = (runs: WorkflowRun[]): WorkflowRun | null =>
  runs.find(run => !isWell(run)) ?? runs.find(run => run.conclusion !== 'skipped') ?? runs[0] ?? null
const isWell = ({ conclusion }: WorkflowRun) => ['success', 'neutral', 'skipped'].includes(conclusion ?? '')

/** Port's run may have ended by what failed before, so its end tells nothing of this course: GitHub alone does. */
export const isRedelivered = ({ queuedAt, receivedAt }: Delivery): boolean => queuedAt > receivedAt

/** The runs that a delivery is over with when it has ended by this match. */
export function pastBy(match: Match): number[] {
  switch (match.kind) {
    case 'known':
      return [match.id]
    case 'own':
      return match.runs.map(run => run.id)
    case 'plain':
      return match.own.map(run => run.id)
    default:
      return []
  }
}

/**
 * Port names a run that is not to be seen here, and a title names one that is. That one is the delivery's: what Port
 * holds may be any number that a workflow gave it. Only where it ended well and is the older, as GitHub's ids grow
 * with time, may it have handed its work on to the other, in another repository.
 *
 * @param gone whether the run that Port names is surely not here
 */
export function preferOwn(own: Match, named: Match, gone: boolean): Match {
  if (own.kind !== 'own' || named.kind !== 'known' || named.run) return named
  if (!gone) return { ...named, guessed: true }
  const handedOn = own.runs.every(run => run.status === 'completed' && isWell(run) && run.id < named.id)
  return handedOn ? named : own
}

/** What was learned of the workflow run. */
function bound(delivery: Delivery, match: Match): Change {
  if (match.kind !== 'known' || match.guessed) return {}
  return {
    ...(delivery.state === 'dispatched' && { state: 'running' }),
    ...(delivery.githubRunId === null && { githubRunId: match.id }),
    ...(match.run && { githubRunAttempt: match.run.attempt }),
  }
}

const closed = (change: Change): Change => ({ ...change, state: 'finished', reason: null, dueAt: null })
const begun = (delivery: Delivery) => delivery.dispatchedAt ?? delivery.receivedAt

/** Whether all runs that may be the delivery's have ended. */
export function isEnded(match: Match): boolean {
  if (match.kind === 'none') return false
  if (match.kind === 'known') return match.run?.status === 'completed'
  return match.runs.every(run => run.status === 'completed')
}

/** Whether one of several runs may have named itself to Port. */
function isUnclear(match: Match): boolean {
  if (match.kind !== 'own' && match.kind !== 'plain') return false
  return match.runs.some(run => !['queued', 'requested', 'pending', 'waiting'].includes(run.status))
}

const sees = (look: Look, match: Match) =>
  look.access === 'read' && !look.gone && !(match.kind === 'known' && !match.run)
