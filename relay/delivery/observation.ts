import type { RunState } from '../../port/types.ts'
import type { Snapshot } from '../github/run-cache.ts'
import type { WorkflowRun } from '../github/runs.ts'
import type { Listeners } from '../github/workflow-files.ts'
import type { Delivery, DeliveryRun, Wait } from './delivery.ts'
import { type DeliveryEvent, type JobsFound, type NoRun, type Policy, timeoutEnd } from './events.ts'
import { decide } from './final-status.ts'
import { decisiveRuns, followsPort } from './match.ts'
import { pollInterval, quickReads, startedAt } from './poll-interval.ts'
import { resultOfJobs } from './reported.ts'
import { canRerun, firstAttempt, isRequested, RERUN_MS, secondAttemptBy } from './rerun.ts'
import { NOTIFY_AFTER_MS, waitOnGitHub } from './shown-wait.ts'

/** What a poll has read so far. Times are milliseconds since 1970, by the store's clock. */
export interface Observation {
  now: number
  found: Found
  /** GitHub's time minus the store's time, in milliseconds. */
  clockOffset: number
  canReport: boolean
  /** The run in Port. `not read`: this poll hasn't requested the run. `unread`: Port didn't respond. */
  port: RunState | 'not read' | 'unread'
  portDue: boolean
  portFreeAt: number
  /** When this relay first saw that all workflow runs had finished; null if a workflow run is still open. */
  finishedSince: number | null
  /** The jobs of the failed workflow run. A number is the time at which the request budget allows reading the jobs. */
  jobs: JobsFound | 'not read' | number
  /** The decisive runs that this poll has read by ID; null for a 404. `unread`: the read isn't possible now. */
  confirmed: ReadonlyMap<number, WorkflowRun | null> | 'not read' | 'unread'
  listeners: Listeners | 'not read'
  wait: Wait | 'not read'
  approvals: 'due' | 'not due' | 'read'
  /** Whether this poll has tried, without effect, to cancel the workflow runs. */
  cancelTried: boolean
}

/** The next step of a poll: read more data, or apply an event and stop. */
export type PollStep =
  | { do: 'read Port' | 'read runs' | 'read approvals' | 'read listeners' }
  | { do: 'read jobs'; run: DeliveryRun }
  | { do: 'read wait'; run: DeliveryRun; cause: 'runner' | 'concurrency' }
  | { do: 'rerun'; run: DeliveryRun; found: JobsFound }
  | { do: 'cancel runs'; runs: DeliveryRun[]; pollAt: number }
  | { do: 'apply'; event: DeliveryEvent }

type Verdict =
  | { kind: 'read Port' }
  | { kind: 'read runs' }
  | { kind: 'poll again'; at: number }
  | { kind: 'finished in Port' }
  | { kind: 'canceled in Port' }
  | { kind: 'run finished'; run: DeliveryRun }
  /** Finish the delivery as failed, with this event type. */
  | { kind: 'startTimedOut' | 'runTimedOut' | 'runUnidentified' | 'runDeleted' | 'runHidden'; cause: NoRun }

export interface Found {
  /** The current state of all workflow runs of the delivery, including past runs. */
  runs: DeliveryRun[]
  /** If no run is bound to the delivery: the workflow runs that could belong to it. */
  candidates: WorkflowRun[]
  snapshot: Snapshot
  /** Whether the list of workflow runs contains all runs since the dispatch. */
  whole: boolean
  /** Whether Port's run id belongs to a workflow run of another repository. */
  elsewhere: boolean
}

/** After a run has finished, the relay waits this long for a report of the action's post step. */
const GRACE_MS = 500
/** For this long after a dispatch, a 404 for a workflow run doesn't mean that the run was deleted. */
const FIRST_MOMENTS_MS = 60_000
/** How long the relay tries to read the run in Port before it puts the result into the outbox. */
const UNREAD_MS = 300_000
/** The maximum time to wait for the jobs of a run that has finished on GitHub. A restart of the relay doesn't extend this time. */
const JOBS_MS = 60_000
/** How long the relay tries to confirm that no user has re-run a failed workflow run. */
const CONFIRM_MS = 60_000
/** If no workflow run has appeared after this time, the relay checks whether a workflow listens to the dispatch. */
const LISTENER_MS = 30_000

/** Decides the next step in a poll of a dispatched or running delivery. The first rule that applies decides. Pure. */
export function nextStep(delivery: Delivery, seen: Observation, policy: Policy): PollStep {
  const { now, found, port } = seen
  const { runs } = found
  const verdict = judge(delivery, seen, policy)
  if (verdict.kind === 'read Port' || verdict.kind === 'read runs') return { do: verdict.kind }
  if (verdict.kind === 'finished in Port') {
    const conclusion = typeof port === 'object' ? port.status : 'unknown'
    return apply({ type: 'finishedInPort', runs, conclusion })
  }

  const pollAt = verdict.kind === 'poll again' ? verdict.at : now
  const open = runs.filter(run => !run.past && run.status !== 'completed')
  const isCanceling = verdict.kind === 'poll again' && delivery.cancelRequestedAt !== null
  if (isCanceling && open.length > 0 && !seen.cancelTried) return { do: 'cancel runs', runs: open, pollAt }
  // A new run is bound first, so that the history shows the evidence.
  if (runs.some(run => !delivery.runs.some(each => each.id === run.id))) {
    return apply({ type: 'runsSeen', runs, pollAt })
  }
  const isWaiting = open.some(run => run.status === 'waiting')
  const isApprovalDue =
    isWaiting !== (delivery.waitingFor !== null) || (isWaiting && seen.approvals === 'due')
  if (isApprovalDue && seen.approvals !== 'read') return { do: 'read approvals' }

  switch (verdict.kind) {
    case 'poll again': {
      const cause = waitOnGitHub(runs)
      const isLate = now >= startedAt(delivery) + NOTIFY_AFTER_MS
      // While GitHub refuses to show the runs, the last known wait may be outdated.
      const isOld = (cause !== null || runs.length === 0) && isRefused(found.snapshot) && !delivery.runWebhook
      const isNew = isLate && !isOld && cause !== null && delivery.shownCause !== cause
      if (isNew && seen.wait === 'not read') return { do: 'read wait', run: open[0] as DeliveryRun, cause }
      const hidden = { cause: 'hidden' as const, reason: found.snapshot.reason ?? '', until: null }
      const wait = isLate && isOld ? { wait: hidden } : isNew && { wait: seen.wait as Wait }
      return findListener(delivery, seen, pollAt) ?? apply({ type: 'runsSeen', runs, pollAt, ...wait })
    }
    case 'canceled in Port':
      return apply({ type: 'cancelRequested', by: 'port' })
    case 'run finished':
      return finishRun(delivery, verdict.run, seen, policy)
    default:
      return apply({ type: verdict.kind, cause: verdict.cause } as DeliveryEvent)
  }
}

const apply = (event: DeliveryEvent): PollStep => ({ do: 'apply', event })

/** Finishes the delivery. If the run failed, reads its jobs first, and waits at most {@link JOBS_MS} for them. */
function finishRun(delivery: Delivery, run: DeliveryRun, seen: Observation, policy: Policy): PollStep {
  const { now, found, canReport, jobs, finishedSince, clockOffset, port } = seen
  const { snapshot } = found
  const runs = found.runs.map(each => (each.id === run.id ? run : each))
  const isOpenInPort = typeof port === 'object' && (!port.finished || port.synchronized)
  const mayRerun = canRerun(delivery, run) && isOpenInPort && now < finishEnd(delivery, policy)
  const needsJobs = (canReport || mayRerun) && !isSuccess(run)
  if (needsJobs && jobs === 'not read') return { do: 'read jobs', run }
  if (needsJobs && typeof jobs === 'number') {
    const pollAt = Math.max(now + 1_000, jobs)
    const shown = snapshot.runs.get(run.id)
    const finishedAt = shown ? shown.updatedAt - clockOffset : (finishedSince ?? now)
    if (pollAt < finishedAt + (mayRerun ? RERUN_MS : JOBS_MS))
      return apply({ type: 'runsSeen', runs, pollAt })
  }
  const isFailure = decide(delivery, { run, jobs: null }, policy).conclusion !== 'success'
  const unconfirmed = isFailure ? confirmEnd(delivery, runs, seen) : null
  if (unconfirmed) return unconfirmed
  if (mayRerun && typeof jobs === 'object' && jobs.lost.length > 0) return { do: 'rerun', run, found: jobs }
  return apply({ type: 'runFinished', run, runs, found: typeof jobs === 'object' ? jobs : null })
}

/**
 * Before a failure finishes the delivery, reads the decisive runs by their IDs, because a user may have re-run one in
 * the meantime. If that isn't possible, a list decides if it was read after the relay saw that the runs had finished.
 * @returns null if the failure is confirmed, or can't be confirmed in time
 */
function confirmEnd(
  delivery: Delivery,
  runs: DeliveryRun[],
  { now, found: { snapshot }, confirmed, finishedSince }: Observation,
): PollStep | null {
  if (confirmed === 'not read') return { do: 'read runs' }
  const until = (finishedSince ?? now) + CONFIRM_MS
  const isListed =
    (snapshot.readAt ?? 0) > delivery.updatedAt && decisiveRuns(runs).every(({ id }) => snapshot.runs.has(id))
  if (confirmed !== 'unread' || isListed || snapshot.access !== 'read' || now >= until) return null
  const pollAt = Math.min(Math.max(now + pollInterval(delivery, now), snapshot.nextAt), until)
  return apply({ type: 'runsSeen', runs, pollAt: Math.ceil(pollAt) })
}

/** Checks whether a workflow listens to a dispatch. @returns null if one does, or if the relay can't tell */
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
  return apply({ type: 'listenerMissing', listeners, pollAt })
}

/** Decides how the delivery continues, based on the workflow runs and the Port run. The first rule that applies decides. */
function judge(delivery: Delivery, observation: Observation, policy: Policy): Verdict {
  const { now, found, port, confirmed } = observation
  const { snapshot, candidates } = found
  const endOf = (timeout: number) => timeoutEnd(startedAt(delivery), timeout, policy)
  const [startBy, finishBy] = [endOf(policy.startTimeout), finishEnd(delivery, policy)]
  const present = decisiveRuns(found.runs)
  // A run can be identified before GitHub's API returns it: by GitHub's response to the dispatch, a report, or a webhook.
  const isAwaited = ({ evidence }: DeliveryRun) =>
    now < (evidence === 'response' ? startBy : Math.min(startBy, endOf(FIRST_MOMENTS_MS)))
  const secondBy = secondAttemptBy(delivery, policy)
  const isLate = now >= secondBy && present.some(isRequested)
  if (isLate && confirmed === 'not read') return { kind: 'read runs' }
  /** Returns the attempt of a run that counts for the result: the first one if the second one hasn't started in time. */
  const counted = (run: DeliveryRun) =>
    isLate && typeof confirmed === 'object' ? firstAttempt(run, confirmed.get(run.id)) : run
  const there = present.filter(run => !snapshot.gone.has(run.id) || isAwaited(run)).map(counted)
  const areFinished = isFinished(there)
  const isGone = present.length > 0 && there.length === 0
  const overdue = present.length === 0 && now >= startBy
  const isSeen = there.some(run => run.status === 'completed' || snapshot.runs.has(run.id))
  const blind = snapshot.access !== 'read' && !isSeen
  const hasResult = resultOfJobs({ ...delivery, runs: found.runs }) !== null
  // If all results reach Port through the relay, another result in Port is from a user. After a job's report, the
  // other result can also be from a later job.
  const isReported = present.length > 0 && present.every(run => run.reportsConclusion) && !hasResult
  // Port shows that the cancellation of a node run is pending.
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
    // Port finishes a synchronous run as soon as the webhook has a response, so the Port run finishes the delivery
    // only if GitHub shows no result.
    const isUnseen = snapshot.access === 'forbidden' && !isSeen && now >= startBy
    const hasFinished = port.finished && delivery.reportWorkflowStatus !== false
    const isCancelled = isReported && there.length > 0 && !areFinished && !port.synchronized
    // A canceled run in Port causes a single cancellation, even if GitHub rejects this cancellation.
    if (delivery.cancelSentAt === null && (port.cancelling || (hasFinished && isCancelled)))
      return { kind: 'canceled in Port' }
    if (hasFinished && (!port.synchronized || isUnseen)) return { kind: 'finished in Port' }
  }

  const pollAgain = (at = Number.POSITIVE_INFINITY): Verdict => {
    const next = Math.max(
      now + pollInterval(delivery, now, blind),
      snapshot.nextAt,
      port === 'unread' ? observation.portFreeAt : 0,
    )
    const listenBy = delivery.state === 'dispatched' ? startedAt(delivery) + LISTENER_MS : 0
    const limits = [startBy, finishBy, listenBy, secondBy, ...quickReads(delivery)].filter(
      limit => limit > now,
    )
    return { kind: 'poll again', at: Math.ceil(Math.min(at, next, ...limits)) }
  }
  // The action may have set a result in Port, so the relay first tries to read the run in Port, for up to UNREAD_MS.
  const isPatient = now - (observation.finishedSince ?? now) < UNREAD_MS
  if (port === 'unread' && now < finishBy && isPatient) return pollAgain()
  // A run that was never read, and whose ID comes from Port, could belong to another repository.
  if (isGone && present.some(run => run.evidence !== 'port' || run.status !== 'unknown')) {
    return { kind: 'runDeleted', cause: { why: 'deleted' } }
  }
  if (areFinished) {
    // An earlier poll, possibly of another relay, must also have found that these attempts have finished.
    const before = delivery.runs.map(counted)
    const wasFinished = there.every(({ id, attempt }) =>
      before.some(run => run.id === id && run.attempt === attempt && run.status === 'completed'),
    )
    if (!wasFinished || now < delivery.updatedAt + GRACE_MS) return pollAgain(now + GRACE_MS)
    const run = worstOf(there)
    // A workflow run in another repository may continue the work. Only Port shows that run's result.
    if (!(found.elsewhere && isSuccess(run))) return { kind: 'run finished', run }
  }
  if (hasResult && blind && isRefused(snapshot) && !delivery.runWebhook) {
    return { kind: 'runHidden', cause: tooLate(present, found, blind, policy) }
  }
  if (now >= finishBy) {
    const cause = tooLate(present.length > 0 ? present : candidates, found, blind, policy)
    return { kind: 'runTimedOut', cause }
  }
  if (!overdue || found.elsewhere) return pollAgain()

  return decideStartTimeout(observation, startBy, policy) ?? pollAgain()
}

function tooLate(
  runs: readonly { status: string }[],
  { snapshot }: Found,
  blind: boolean,
  { runTimeout }: Policy,
): NoRun {
  const reason = snapshot.reason ?? "GitHub doesn't show that run"
  if (runs.length === 0) return { why: 'unknown', runTimeout, reason }
  const open = runs.find(run => run.status !== 'completed')
  if (open?.status === 'unknown' || blind) return { why: 'end not seen', runTimeout, reason }
  return { why: 'too long', runTimeout, status: open?.status ?? 'completed' }
}

export const isFinished = (runs: readonly DeliveryRun[]): boolean =>
  runs.length > 0 && runs.every(run => run.status === 'completed')

/** Returns an unsuccessful run, or else one that wasn't skipped. */
const worstOf = (runs: readonly DeliveryRun[]): DeliveryRun =>
  runs.find(run => !isSuccess(run)) ?? runs.find(run => run.conclusion !== 'skipped') ?? runs[0]!
const isSuccess = ({ conclusion }: DeliveryRun) =>
  ['success', 'neutral', 'skipped'].includes(conclusion ?? '')

/** Returns the time at which the relay stops following the run, or the run's second attempt. */
const finishEnd = (delivery: Delivery, policy: Policy) =>
  timeoutEnd(delivery.rerunAt || startedAt(delivery), policy.runTimeout, policy)

/** If GitHub has refused access for this long, the relay treats the refusal as final. */
const REFUSED_MS = 60_000
const isRefused = ({ access, refusedFor }: Snapshot) => access === 'forbidden' && refusedFor >= REFUSED_MS

/** After the start timeout, decides about a delivery without a known run. @returns null to let a later poll decide */
function decideStartTimeout(
  { found, port }: Observation,
  startBy: number,
  { startTimeout }: Policy,
): Verdict | null {
  const { snapshot, candidates, whole } = found
  if (snapshot.access === 'unavailable') return null
  if (snapshot.access === 'forbidden') {
    // If the relay can't read the run in Port either, as with a node run, a workflow run could still be in progress.
    const isUnseen = typeof port === 'object' && port.status === 'unknown'
    if (isUnseen || snapshot.refusedFor < REFUSED_MS) return null
    const reason = snapshot.reason ?? "GitHub doesn't show the repository's runs"
    return { kind: 'startTimedOut', cause: { why: 'not seen', reason, startTimeout } }
  }
  if ((snapshot.readAt ?? 0) < startBy) return null
  if (candidates.length > 0) {
    if (!candidates.every(run => run.status === 'completed')) return null
    return { kind: 'runUnidentified', cause: { why: 'unidentified', amount: candidates.length } }
  }
  if (!whole) return null
  return { kind: 'startTimedOut', cause: { why: 'nothing listens' } }
}
