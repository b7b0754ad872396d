import { describeLeftOut, mergeOutputs } from '../../port/client/run-bodies.ts'
import { duration } from '../../port/text.ts'
import type { Json, JsonObject } from '../../port/types.ts'
import type { Change, Delivery, DeliveryRun, Message, Reported, Transition } from './delivery.ts'
import type { Context, Event, FinishedJob } from './events.ts'
import { decide } from './final-status.ts'
import { boundRun, FIRST_POLL_MS, mergeRuns } from './match.ts'
import { isFinished } from './observation.ts'
import { CANCELLED, finish, nothingListens, outcomeInPort, outcomeOf } from './outcome.ts'
import { QUICK_READS_MS } from './poll-interval.ts'
import { whyRejected } from './rejected.ts'
import { addReport } from './reported.ts'
import { showWait, waitOnGitHub } from './shown-wait.ts'

const ON_GITHUB: Delivery['shownCause'][] = ['runner', 'concurrency', 'hidden']

/** Records the polled workflow runs, and binds new runs to the delivery. */
export function see(
  delivery: Delivery,
  { runs: seen, pollAt, webhook, wait }: Event<'runsSeen'>,
  { now }: Context,
): Transition {
  const runs = mergeRuns(delivery.runs, seen)
  const isChanged = JSON.stringify(delivery.runs) !== JSON.stringify(runs)
  const change: Change = {
    ...{ dueAt: pollAt, ...(isChanged && { runs }) },
    ...(webhook && { runWebhook: true }),
  }
  const first = runs[delivery.runs.length]
  if (!first && wait) {
    const shown = showWait(delivery, wait, now)
    const entry = { type: 'waitingNotified' as const, details: { cause: wait.cause } }
    const history = shown.messages.length > 0 ? entry : null
    return { change: { ...change, ...shown.change }, messages: shown.messages, history }
  }
  if (!first) {
    const isOver = ON_GITHUB.includes(delivery.shownCause) && waitOnGitHub(runs) === null
    const isRunning = isOver && runs.length > 0 && !isFinished(runs) && delivery.waitingFor === null
    return {
      change: { ...change, ...(isOver && { shownCause: '' }) },
      messages: isRunning ? [{ update: { statusLabel: 'Running' }, unlessStarted: true }] : [],
      history: null,
    }
  }
  return {
    change: { ...change, ...bound(delivery, now) },
    messages: linkTo(first, runs),
    history: { type: 'runBound', details: { github_run_id: first.id, evidence: first.evidence } },
  }
}

const bound = ({ dispatchedAt, attemptedAt, reason, rerunAt }: Delivery, now: number): Change => ({
  state: 'running',
  dispatchedAt: dispatchedAt ?? attemptedAt ?? now,
  awaitingResponseSince: null,
  // A bound run shows that a workflow listens, so the warning about a missing listener is removed. The failure
  // of a first attempt stays.
  ...(reason !== null && !rerunAt && { reason: null }),
})

/** Binds the delivery to the run from which the action reported. */
export function start(delivery: Delivery, { run }: Event<'runReported'>, { now }: Context): Transition {
  const before = delivery.runs.find(each => each.id === run.id)
  // Runs that were bound by title stay. If a run was bound as the only candidate, the reporting run replaces it.
  const others = delivery.runs.filter(
    each => each.id !== run.id && (each.past || each.evidence !== 'candidate'),
  )
  const attempt = Math.max(run.attempt, before?.attempt ?? 0)
  const isNew = before?.evidence !== 'report' || before.attempt !== attempt
  // A new attempt doesn't inherit the status and conclusion of an earlier attempt.
  const kept = before && before.attempt < attempt ? { past: before.past } : before
  return {
    change: {
      ...bound(delivery, now),
      dueAt: now + FIRST_POLL_MS,
      runs: [
        ...others,
        {
          ...run,
          ...kept,
          ...(run.reportsConclusion && { reportsConclusion: true }),
          evidence: 'report',
          attempt,
        },
      ],
    },
    messages: [],
    history: isNew
      ? { type: 'runReported', details: { github_run_id: run.id, attempt, evidence: 'report' } }
      : null,
  }
}

/** Records a job for the trace, even after the delivery has finished, because GitHub's webhook can arrive late. */
export function noteJob(_delivery: Delivery, { runId, job }: Event<'jobFinished'>): Transition {
  const details = { github_run_id: runId, ...jobDetails(job) }
  return { change: {}, messages: [], history: { type: 'jobFinished', details } }
}

const jobDetails = ({ id, conclusion, startedAt, finishedAt }: FinishedJob) => ({
  ...{ job_id: id, conclusion, started_at: startedAt, finished_at: finishedAt },
})

/** Forwards messages to Port. Keeps the results of jobs for the final update. A conclusion without a job finishes the delivery. */
export function report(
  delivery: Delivery,
  { messages, attempt, ending }: Event<'reportReceived'>,
  { now }: Context,
): Transition | null {
  // Ignores the report if a new attempt has started since the report was checked.
  if (!delivery.runs.some(run => !run.past && run.attempt === attempt)) return null
  const stamped = messages.map(each =>
    'entity' in each && each.entity.required ? { entity: { ...each.entity, attempt } } : each,
  )
  const { outputs, sent: updated, left } = takeOutputs(delivery, stamped)
  const sent = updated.filter(message => !('update' in message && message.update.job))
  const reported = updated.reduce<Reported | null>((known, message) => {
    const { job, summary, link } = 'update' in message ? message.update : {}
    const isKept = job || summary || link?.some(each => !known?.links.includes(each))
    return isKept && 'update' in message ? addReport(known, message.update, attempt) : known
  }, delivery.reported)
  const change: Change = {
    ...(outputs !== delivery.outputs && { outputs }),
    ...(reported !== delivery.reported && { reported }),
    // On GitHub, the job finishes a little later, after its post step.
    ...(ending && { finishingAt: now, dueAt: Math.min(delivery.dueAt ?? now, now + QUICK_READS_MS[0]) }),
  }
  // Every report contains all outputs of the job, so a message about omitted outputs is sent once, with the last report.
  const all: Message[] =
    left.length > 0 && ending ? [{ log: [{ level: 'WARN', message: describeLeftOut(left) }] }, ...sent] : sent
  const reportedLast = sent.flatMap(each => ('update' in each ? (each.update.conclusion ?? []) : [])).at(-1)
  if (!reportedLast) return { change, messages: all, history: null }
  const rejected = reportedLast === 'success' ? whyRejected(delivery, attempt) : null
  const conclusion = rejected === null ? reportedLast : 'failure'
  const isCancelled = delivery.cancelRequestedAt !== null && conclusion === 'cancelled'
  const state = isCancelled ? 'cancelled' : 'finished'
  return {
    change: {
      ...change,
      ...{ state, outcome: isCancelled ? 'cancelled' : outcomeOf(conclusion) },
      ...{ reason: isCancelled ? CANCELLED.sentence : rejected, dueAt: null },
    },
    messages: all,
    history: { type: 'reportReceived', details: { conclusion, state } },
  }
}

/** Moves outputs from the messages to the delivery. The outbox adds these outputs to each update. */
function takeOutputs(
  delivery: Delivery,
  messages: Message[],
): { outputs: string; sent: Message[]; left: string[] } {
  const stored: JsonObject = delivery.outputs === '' ? {} : JSON.parse(delivery.outputs)
  const reported = new Map<string, Json>()
  const sent = messages.map(message => {
    if (!('update' in message) || !message.update.output) return message
    const { output, ...update } = message.update
    for (const [name, value] of Object.entries(output)) reported.set(name, value)
    return { ...message, update }
  })
  // The outputs are merged once per report, because a report can have hundreds of updates.
  const { outputs, left } = mergeOutputs(stored, Object.fromEntries(reported))
  return { outputs: Object.keys(outputs).length === 0 ? '' : JSON.stringify(outputs), sent, left }
}

/** Forwards log lines after the delivery has finished. Ignores other messages. */
export function forward(_delivery: Delivery, { messages }: Event<'reportReceived'>): Transition | null {
  return messages.every(each => 'log' in each) ? { change: {}, messages, history: null } : null
}

export function end(
  delivery: Delivery,
  { run, runs, found }: Event<'runFinished'>,
  { policy }: Context,
): Transition {
  const { jobs: all = null, lines } = found ?? {}
  const ending = decide(delivery, { run, jobs: all }, policy)
  const jobs = (all ?? []).flatMap(({ id, conclusion, startedAt, finishedAt }) =>
    startedAt && finishedAt ? [jobDetails({ id, conclusion, startedAt, finishedAt })] : [],
  )
  const details = {
    ...{ github_run_id: run.id, conclusion: run.conclusion },
    ...(jobs.length > 0 && { jobs }),
  }
  const shown = { run, jobs: all, more: lines }
  const ended = finish({ ...delivery, runs }, ending, { type: 'runFinished', details }, policy, shown)
  return { ...ended, change: { ...ended.change, runs } }
}

/** Finishes the delivery without a message to Port, which already has the result. A requested cancellation continues. */
export function finishInPort(
  delivery: Delivery,
  { runs: seen, conclusion = 'unknown' }: Event<'finishedInPort'>,
): Transition | null {
  if (delivery.cancelRequestedAt !== null) return null
  const runs = mergeRuns(delivery.runs, seen)
  const outcome = outcomeInPort(conclusion, boundRun({ runs }))
  const reason =
    outcome === 'succeeded'
      ? null
      : `The run in Port has finished${conclusion === 'unknown' ? '' : ` (${conclusion})`}: a user ended it, or the workflow reported to Port without the relay. Port's log shows more.`
  return {
    change: {
      ...{ state: 'finished', outcome, reason },
      ...{ dueAt: null, awaitingResponseSince: null, runs },
    },
    messages: [],
    history: { type: 'finishedInPort', details: { conclusion, state: 'finished' } },
  }
}

/** Warns in Port that no workflow listens to the dispatch. The delivery waits until the start timeout. */
export function warn(
  delivery: Delivery,
  { listeners, pollAt }: Event<'listenerMissing'>,
  { policy: { startTimeout } }: Context,
): Transition {
  const reason = nothingListens(delivery, listeners)
  const message = `${reason} The relay waits for a workflow run until RELAY_START_TIMEOUT (${duration(startTimeout)}) has passed.`
  return {
    change: { reason, dueAt: pollAt },
    messages: [{ log: [{ level: 'WARN', message }] }],
    history: { type: 'listenerMissing', details: { reason } },
  }
}

export function giveUp(
  delivery: Delivery,
  event: Event<'startTimedOut' | 'runTimedOut' | 'runUnidentified' | 'runDeleted' | 'runHidden'>,
  { policy }: Context,
): Transition {
  const history = { type: event.type, details: { why: event.cause.why } }
  return finish(delivery, decide(delivery, event, policy), history, policy)
}

/** Returns messages that show the links of the workflow runs in Port, unless the action has already sent the link. */
function linkTo(first: DeliveryRun, runs: DeliveryRun[]): Message[] {
  if (first.evidence === 'report' || first.evidence === 'port') return []
  const link = runs.flatMap(run => (run.past || run.url === '' ? [] : [run.url]))
  if (link.length === 0) return []
  const label = first.status === 'in_progress' ? { statusLabel: 'Running' } : {}
  return [{ update: { ...label, link }, unlessStarted: true }]
}
