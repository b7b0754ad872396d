import type { RunState } from '../../port/types.ts'
import type { Snapshot } from '../github/run-cache.ts'
import type { WorkflowRun } from '../github/runs.ts'
import type { Delivery, DeliveryRun } from './delivery.ts'
import type { NoRun, Policy } from './events.ts'
import { decisiveRuns, followsPort } from './runs.ts'

/** What one poll of a delivery showed. Times are milliseconds since 1970, by the store's clock. */
export interface Observation {
  now: number
  found: Found
  /** Port's run; `unasked` until the verdict needs it, `unread` if Port didn't respond. */
  port: RunState | 'unasked' | 'unread'
  /** Whether it is time to read Port's run again. */
  portDue: boolean
  /** When Port accepts requests again. */
  portFreeAt: number
  /** For how long this relay has seen all runs finished, milliseconds. */
  finishedFor: number
}

type Verdict =
  | { kind: 'ask Port' }
  | { kind: 'look again'; at: number }
  | { kind: 'ended in Port' }
  | { kind: 'cancelled in Port' }
  | { kind: 'run ended'; run: DeliveryRun }
  /** The event that gives the delivery up. */
  | { kind: 'startTimedOut' | 'runTimedOut' | 'runUnidentified' | 'runDeleted'; cause: NoRun }

/** What is known of the runs of a delivery. */
export interface Found {
  /** All that belong to it, past ones included, as they are now. */
  runs: DeliveryRun[]
  /** Those that could belong to it, if none does. */
  candidates: WorkflowRun[]
  snapshot: Snapshot
  /** Whether the list shows all runs since the dispatch. */
  whole: boolean
  /** Port names a run that isn't in this repository, for example if a workflow started another one for the work. */
  elsewhere: boolean
}

/** How long the post step may still report after a run finished. */
const GRACE_MS = 1_000
/** For this long after a dispatch, a 404 doesn't mean that the run was deleted. */
const FIRST_MOMENTS_MS = 60_000
/** Between polls: short at first, then longer. With the list's own interval, below a minute. */
const SOONEST_MS = 3_000
const LATEST_MS = 15_000
/** If only Port can be read, once for each delivery. */
const LATEST_BLIND_MS = 60_000
const LATEST_ASK_MS = 300_000
/** A result waits this long for Port's response; then its message waits in the outbox. */
const UNREAD_MS = 300_000

/** How long until Port is asked again which run is meant. Less and less often: the action reports it at its start or never. */
export const askInterval = (delivery: Delivery, now: number): number =>
  Math.max(SOONEST_MS, Math.min(LATEST_ASK_MS, (now - startedAt(delivery)) / 3))

/** How long a delivery waits for its next poll, by how long ago it was dispatched. */
export const pollInterval = (delivery: Delivery, now: number, blind = false): number =>
  Math.max(SOONEST_MS, Math.min(blind ? LATEST_BLIND_MS : LATEST_MS, (now - startedAt(delivery)) / 6))

/** Decides what to do with a dispatched or running delivery. The first rule that applies decides. Pure. */
export function judge(delivery: Delivery, observation: Observation, policy: Policy): Verdict {
  const { now, found, port } = observation
  const { snapshot, candidates } = found
  const startBy = startedAt(delivery) + policy.startTimeout
  const finishBy = startedAt(delivery) + policy.runTimeout
  const present = decisiveRuns(found.runs)
  // A run is known before GitHub shows it, by its answer to the dispatch, a report or a webhook.
  const isAwaited = ({ evidence }: DeliveryRun) =>
    now < (evidence === 'response' ? startBy : Math.min(startBy, startedAt(delivery) + FIRST_MOMENTS_MS))
  const there = present.filter(run => !snapshot.gone.has(run.id) || isAwaited(run))
  const ended = isFinished(there)
  const isGone = present.length > 0 && there.length === 0
  const overdue = present.length === 0 && now >= startBy
  const isSeen = there.some(run => run.status === 'completed' || snapshot.runs.has(run.id))
  const blind = snapshot.access !== 'read' && !isSeen
  // If the result reaches Port only through the relay, another result is a user's.
  const isReported = present.length > 0 && present.every(run => run.reportsConclusion)
  // Port shows of a node run that it is being cancelled.
  const mayBeCancelled = delivery.kind === 'node_run' || isReported
  const isNamedOnly = present.length > 0 && present.every(run => run.evidence === 'title')

  const needsPort =
    ended ||
    isGone ||
    now >= finishBy ||
    overdue ||
    blind ||
    (observation.portDue && (present.length === 0 || isNamedOnly || mayBeCancelled))
  if (port === 'unasked' && needsPort) return { kind: 'ask Port' }
  if (typeof port === 'object' && followsPort(delivery)) {
    // A synchronous run has ended with the answer to its webhook.
    const isCancelled = isReported && there.length > 0 && !ended && !port.synchronized
    // Where GitHub rejected the request to cancel, the same end in Port does not lead to another.
    if (delivery.cancelSentAt === null && (port.cancelling || (port.ended && isCancelled)))
      return { kind: 'cancelled in Port' }
    if (port.ended) return { kind: 'ended in Port' }
  }

  const pollAgain = (at = Number.POSITIVE_INFINITY): Verdict => {
    const next = Math.max(
      now + pollInterval(delivery, now, blind),
      snapshot.nextAt,
      port === 'unread' ? observation.portFreeAt : 0,
    )
    const limits = [startBy, finishBy].filter(limit => limit > now)
    return { kind: 'look again', at: Math.ceil(Math.min(at, next, ...limits)) }
  }
  // The end may be reported already: Port is asked first, for a while.
  const isPatient = observation.finishedFor < UNREAD_MS
  if (port === 'unread' && now < finishBy && isPatient) return pollAgain()
  // A run that was never seen may be in another repository, which Port names.
  if (isGone && present.some(run => run.evidence !== 'port' || run.status !== 'unknown')) {
    return { kind: 'runDeleted', cause: { why: 'deleted' } }
  }
  if (ended) {
    // A look before this one, of whichever relay, has seen the end.
    const before = delivery.runs.filter(run => there.some(each => each.id === run.id))
    if (!isFinished(before) || now < delivery.updatedAt + GRACE_MS) return pollAgain(now + GRACE_MS)
    const run = worstOf(there)
    // The work may continue in a run of another repository, whose end only Port shows.
    if (!(found.elsewhere && isSuccess(run))) return { kind: 'run ended', run }
  }
  if (now >= finishBy) {
    return {
      kind: 'runTimedOut',
      cause: tooLate(present.length > 0 ? present : candidates, observation, policy),
    }
  }
  if (!overdue || found.elsewhere) return pollAgain()

  return decideStartTimeout(observation, startBy, policy) ?? pollAgain()
}

function tooLate(
  runs: readonly { status: string }[],
  { found: { snapshot } }: Observation,
  { runTimeout }: Policy,
): NoRun {
  const reason = snapshot.reason ?? 'GitHub shows no such run'
  if (runs.length === 0) return { why: 'unknown', runTimeout, reason }
  const open = runs.find(run => run.status !== 'completed')
  if (open?.status === 'unknown') return { why: 'end not seen', runTimeout, reason }
  return { why: 'too long', runTimeout, status: open?.status ?? 'completed' }
}

/** Whether all of these runs have finished. */
export function isFinished(runs: readonly DeliveryRun[]): boolean {
  return runs.length > 0 && runs.every(run => run.status === 'completed')
}

/** Of several runs, one that did not succeed; a skipped one only where all were skipped. */
function worstOf(runs: readonly DeliveryRun[]): DeliveryRun {
  return (
    runs.find(run => !isSuccess(run)) ??
    runs.find(run => run.conclusion !== 'skipped') ??
    (runs[0] as DeliveryRun)
  )
}
const isSuccess = ({ conclusion }: DeliveryRun) =>
  ['success', 'neutral', 'skipped'].includes(conclusion ?? '')

const startedAt = (delivery: Delivery) => delivery.dispatchedAt ?? delivery.queuedAt

/** How long GitHub must have refused before its refusal counts as final. */
const REFUSED_MS = 60_000

/**
 * What to do with a delivery of which no run is known when the start timeout is over: no workflow listens, its run
 * cannot be identified, or the relay cannot look. Pure.
 *
 * @param startBy when the start timeout is over, milliseconds since 1970
 * @returns null where another look has to decide
 */
function decideStartTimeout(
  { found, port }: Observation,
  startBy: number,
  { startTimeout }: Policy,
): Verdict | null {
  const { snapshot, candidates, whole } = found
  if (snapshot.access === 'unavailable') return null
  if (snapshot.access === 'forbidden') {
    // A node run cannot be read from Port either: a run that may exist unseen must not be ended.
    const isUnseen = typeof port === 'object' && port.status === 'unknown'
    if (isUnseen || snapshot.refusedFor < REFUSED_MS) return null
    const reason = snapshot.reason ?? 'GitHub does not show it'
    return { kind: 'startTimedOut', cause: { why: 'not seen', reason, startTimeout } }
  }
  if ((snapshot.readAt ?? 0) < startBy) return null
  if (candidates.length > 0) {
    if (!candidates.every(run => run.status === 'completed')) return null
    return { kind: 'runUnidentified', cause: { why: 'unidentified', amount: candidates.length } }
  }
  if (!whole) return null
  return { kind: 'startTimedOut', cause: { why: 'nothing listens', disabled: [], workflows: null } }
}
