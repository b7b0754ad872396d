import type { RunState } from '../../port/types.ts'
import type { Snapshot } from '../github/run-cache.ts'
import type { WorkflowRun } from '../github/runs.ts'
import type { Listeners } from '../github/workflow-files.ts'
import type { Delivery, DeliveryRun } from './delivery.ts'
import type { DeliveryEvent, JobsFound, NoRun, Policy } from './events.ts'
import { decisiveRuns, followsPort } from './runs.ts'

/** What one poll of a delivery has shown so far. Times are milliseconds since 1970, by the store's clock. */
export interface Observation {
  now: number
  found: Found
  /** GitHub's clock minus the store's, milliseconds. */
  clockOffset: number
  /** Whether the delivery has a run in Port that the relay can report to. */
  canReport: boolean
  /** Port's run; `unread` if Port didn't respond. */
  port: RunState | 'not read' | 'unread'
  /** Whether it is time to read Port's run again. */
  portDue: boolean
  /** When Port accepts requests again. */
  portFreeAt: number
  /** Since when this relay has seen all runs finished; null if they haven't. */
  finishedSince: number | null
  /** The jobs of the run that failed; a time: when the request budget allows to read them. */
  jobs: JobsFound | 'not read' | number
  /** What else is known if no workflow listens. */
  workflows: { disabled: string[]; workflows: number | null } | 'not read'
  /** Whether a workflow file of the default branch listens to the event type. */
  listeners: Listeners | 'not read'
  /** Whether it is time to read whom the runs wait for. */
  approvals: 'due' | 'not due' | 'read'
  /** Whether this poll has tried to cancel the runs, without effect. */
  cancelTried: boolean
}

/** What a poll does next: it reads something, which the next step then knows, or it applies an event and is done. */
export type PollStep =
  | { do: 'read Port' | 'read approvals' | 'read listeners' | 'read workflows' }
  | { do: 'read jobs'; run: DeliveryRun }
  | { do: 'cancel runs'; runs: DeliveryRun[]; pollAt: number }
  | { do: 'apply'; event: DeliveryEvent }

type Verdict =
  | { kind: 'read Port' }
  | { kind: 'poll again'; at: number }
  | { kind: 'finished in Port' }
  | { kind: 'canceled in Port' }
  | { kind: 'run finished'; run: DeliveryRun }
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
const LATEST_PORT_MS = 300_000
/** A result waits this long for Port's response; then its message waits in the outbox. */
const UNREAD_MS = 300_000
/** Jobs wait for the request budget no longer than this after the run finished, by GitHub's time: a restart doesn't extend it. */
const JOBS_MS = 60_000
/** Conclusions that need no jobs. */
const WITHOUT_JOBS = ['success', 'neutral', 'skipped', 'startup_failure']
/** A dispatch without a run for this long may have no workflow that listens to it. */
const LISTENER_MS = 30_000

/** How long until Port is read again for the run's id. Less and less often: the action writes it when it starts, or never. */
export const portInterval = (delivery: Delivery, now: number): number =>
  Math.max(SOONEST_MS, Math.min(LATEST_PORT_MS, (now - startedAt(delivery)) / 3))

/** How long a delivery waits for its next poll, by how long ago it was dispatched. */
export const pollInterval = (delivery: Delivery, now: number, blind = false): number =>
  Math.max(SOONEST_MS, Math.min(blind ? LATEST_BLIND_MS : LATEST_MS, (now - startedAt(delivery)) / 6))

/** Decides the next step of a poll of a dispatched or running delivery. The first rule that applies decides. Pure. */
export function nextStep(delivery: Delivery, seen: Observation, policy: Policy): PollStep {
  const { now, found, port } = seen
  const { runs } = found
  const verdict = judge(delivery, seen, policy)
  if (verdict.kind === 'read Port') return { do: 'read Port' }
  if (verdict.kind === 'finished in Port') {
    const conclusion = typeof port === 'object' ? port.status : 'unknown'
    return apply({ type: 'finishedInPort', runs, conclusion })
  }

  const pollAt = verdict.kind === 'poll again' ? verdict.at : now
  const open = runs.filter(run => !run.past && run.status !== 'completed')
  const isCanceling = verdict.kind === 'poll again' && delivery.cancelRequestedAt !== null
  if (isCanceling && open.length > 0 && !seen.cancelTried) return { do: 'cancel runs', runs: open, pollAt }
  // A run that is new to the delivery is bound first, so that its history shows by which evidence.
  if (runs.some(run => !delivery.runs.some(each => each.id === run.id))) {
    return apply({ type: 'runsSeen', runs, pollAt })
  }
  const isWaiting = open.some(run => run.status === 'waiting')
  const isApprovalDue =
    isWaiting !== (delivery.waitingFor !== null) || (isWaiting && seen.approvals === 'due')
  if (isApprovalDue && seen.approvals !== 'read') return { do: 'read approvals' }

  switch (verdict.kind) {
    case 'poll again':
      return findListener(delivery, seen, pollAt) ?? apply({ type: 'runsSeen', runs, pollAt })
    case 'canceled in Port':
      return apply({ type: 'cancelRequested', by: 'port' })
    case 'run finished':
      return finishRun(verdict.run, seen)
    default: {
      const { kind: type, cause } = verdict
      if (cause.why !== 'nothing listens') return apply({ type, cause })
      if (seen.workflows === 'not read') return { do: 'read workflows' }
      return apply({ type, cause: { ...cause, ...seen.workflows } })
    }
  }
}

const apply = (event: DeliveryEvent): PollStep => ({ do: 'apply', event })

/** The result of a failed run waits for its jobs, at most until {@link JOBS_MS} after it finished. */
function finishRun(run: DeliveryRun, seen: Observation): PollStep {
  const { now, found, canReport, jobs, finishedSince, clockOffset } = seen
  const { runs, snapshot } = found
  const needsJobs = canReport && !WITHOUT_JOBS.includes(run.conclusion ?? '')
  if (needsJobs && jobs === 'not read') return { do: 'read jobs', run }
  if (needsJobs && typeof jobs === 'number') {
    const pollAt = Math.max(now + 1_000, jobs)
    const shown = snapshot.runs.get(run.id)
    const finishedAt = shown ? shown.updatedAt - clockOffset : (finishedSince ?? now)
    if (pollAt < finishedAt + JOBS_MS) return apply({ type: 'runsSeen', runs, pollAt })
  }
  return apply({ type: 'runFinished', run, runs, found: typeof jobs === 'object' ? jobs : null })
}

/**
 * A dispatch that should have started something by now, and nothing shows that it has: perhaps no workflow listens to it.
 *
 * @returns null if a workflow listens, or if that isn't known
 */
function findListener(
  delivery: Delivery,
  { now, found, listeners }: Observation,
  pollAt: number,
): PollStep | null {
  const { state, workflow, reason, cancelRequestedAt } = delivery
  const isNotified = reason !== null
  if (state !== 'dispatched' || workflow !== null || isNotified || cancelRequestedAt !== null) return null
  if (now < startedAt(delivery) + LISTENER_MS || found.candidates.length > 0 || found.elsewhere) return null
  if (listeners === 'not read') return { do: 'read listeners' }
  if (listeners === 'found' || listeners === 'unknown') return null
  return apply({ type: 'listenerMissing', hasFiles: listeners === 'none', pollAt })
}

/** What the runs and Port's run mean for the delivery. The first rule that applies decides. */
function judge(delivery: Delivery, observation: Observation, policy: Policy): Verdict {
  const { now, found, port } = observation
  const { snapshot, candidates } = found
  const startBy = startedAt(delivery) + policy.startTimeout
  const finishBy = startedAt(delivery) + policy.runTimeout
  const present = decisiveRuns(found.runs)
  // A run is known before GitHub shows it: by the response to the dispatch, a report, or a webhook.
  const isAwaited = ({ evidence }: DeliveryRun) =>
    now < (evidence === 'response' ? startBy : Math.min(startBy, startedAt(delivery) + FIRST_MOMENTS_MS))
  const there = present.filter(run => !snapshot.gone.has(run.id) || isAwaited(run))
  const areFinished = isFinished(there)
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
    areFinished ||
    isGone ||
    now >= finishBy ||
    overdue ||
    blind ||
    (observation.portDue && (present.length === 0 || isNamedOnly || mayBeCancelled))
  if (port === 'not read' && needsPort) return { kind: 'read Port' }
  if (typeof port === 'object' && followsPort(delivery)) {
    // A synchronous run has finished with the response to its webhook.
    const isCancelled = isReported && there.length > 0 && !areFinished && !port.synchronized
    // If GitHub rejected the request to cancel, the same result in Port doesn't lead to another one.
    if (delivery.cancelSentAt === null && (port.cancelling || (port.ended && isCancelled)))
      return { kind: 'canceled in Port' }
    if (port.ended) return { kind: 'finished in Port' }
  }

  const pollAgain = (at = Number.POSITIVE_INFINITY): Verdict => {
    const next = Math.max(
      now + pollInterval(delivery, now, blind),
      snapshot.nextAt,
      port === 'unread' ? observation.portFreeAt : 0,
    )
    const listenBy = delivery.state === 'dispatched' ? startedAt(delivery) + LISTENER_MS : 0
    const limits = [startBy, finishBy, listenBy].filter(limit => limit > now)
    return { kind: 'poll again', at: Math.ceil(Math.min(at, next, ...limits)) }
  }
  // The result may have been reported already: Port is read first, for a while.
  const isPatient = now - (observation.finishedSince ?? now) < UNREAD_MS
  if (port === 'unread' && now < finishBy && isPatient) return pollAgain()
  // A run that was never seen may be in another repository, which Port names.
  if (isGone && present.some(run => run.evidence !== 'port' || run.status !== 'unknown')) {
    return { kind: 'runDeleted', cause: { why: 'deleted' } }
  }
  if (areFinished) {
    // An earlier poll, of whichever relay, must have seen that they finished.
    const before = delivery.runs.filter(run => there.some(each => each.id === run.id))
    if (!isFinished(before) || now < delivery.updatedAt + GRACE_MS) return pollAgain(now + GRACE_MS)
    const run = worstOf(there)
    // The work may continue in a run of another repository, whose result only Port shows.
    if (!(found.elsewhere && isSuccess(run))) return { kind: 'run finished', run }
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
  const reason = snapshot.reason ?? "GitHub doesn't show such a run"
  if (runs.length === 0) return { why: 'unknown', runTimeout, reason }
  const open = runs.find(run => run.status !== 'completed')
  if (open?.status === 'unknown') return { why: 'end not seen', runTimeout, reason }
  return { why: 'too long', runTimeout, status: open?.status ?? 'completed' }
}

/** Whether all of these runs have finished. */
export function isFinished(runs: readonly DeliveryRun[]): boolean {
  return runs.length > 0 && runs.every(run => run.status === 'completed')
}

/** If there are several runs, one that didn't succeed; a skipped one only if all were skipped. */
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

/** How long GitHub must have refused before the refusal counts as final. */
const REFUSED_MS = 60_000

/**
 * What to do with a delivery without a known run when the start timeout is over: no workflow listens, its run can't be
 * identified, or the relay can't read the runs.
 *
 * @param startBy when the start timeout is over, milliseconds since 1970
 * @returns null if another poll has to decide
 */
function decideStartTimeout(
  { found, port }: Observation,
  startBy: number,
  { startTimeout }: Policy,
): Verdict | null {
  const { snapshot, candidates, whole } = found
  if (snapshot.access === 'unavailable') return null
  if (snapshot.access === 'forbidden') {
    // A node run can't be read from Port either: a run that may exist unseen must not be finished.
    const isUnseen = typeof port === 'object' && port.status === 'unknown'
    if (isUnseen || snapshot.refusedFor < REFUSED_MS) return null
    const reason = snapshot.reason ?? "GitHub doesn't show it"
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
