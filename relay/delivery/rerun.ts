import { TIMEOUT_MS } from '../github/credentials.ts'
import type { WorkflowRun } from '../github/runs.ts'
import type { Delivery, DeliveryRun, Transition } from './delivery.ts'
import { type Context, type Event, type Policy, timeoutEnd } from './events.ts'
import { FIRST_POLL_MS } from './match.ts'
import { type Ending, names } from './outcome.ts'

/** The maximum time from the last request for a second attempt until GitHub shows the attempt. */
export const RERUN_MS = 300_000
/** The time after which the relay no longer sends a recorded request. */
export const SEND_MS = 3_000
/** The time after which no request is in progress. If GitHub then shows only the first attempt, the relay repeats the request once. */
const REPEAT_MS = SEND_MS + TIMEOUT_MS

/** The statuses of a second attempt that the relay requested, or requested a second time, and GitHub doesn't show yet. */
const REQUESTED = 'requested'
const REQUESTED_AGAIN = 'requested again'
export const isRequested = ({ status }: DeliveryRun) => status === REQUESTED || status === REQUESTED_AGAIN
const mayRepeat = ({ rerunAt, runs }: Delivery) =>
  Boolean(rerunAt) && runs.some(run => run.status === REQUESTED)

/** Returns the time at which GitHub should show the second attempt. From then on, the relay reads the run by its ID. */
export const secondAttemptBy = (delivery: Delivery, policy: Policy): number =>
  timeoutEnd(delivery.rerunAt || Number.POSITIVE_INFINITY, mayRepeat(delivery) ? REPEAT_MS : RERUN_MS, policy)

/** Returns the first attempt if GitHub shows that the requested second attempt hasn't started; otherwise, the run. */
export const firstAttempt = (run: DeliveryRun, shown: WorkflowRun | null | undefined): DeliveryRun =>
  isRequested(run) && shown?.attempt === 1
    ? { ...run, attempt: 1, status: shown.status, conclusion: shown.conclusion }
    : run

/** Whether the relay may ask GitHub to run the failed jobs again, if all of them lost their runners. */
export const canRerun = (delivery: Delivery, { attempt, conclusion }: DeliveryRun): boolean =>
  (delivery.rerunAt === 0 || mayRepeat(delivery)) &&
  delivery.runs.filter(run => !run.past).length === 1 &&
  attempt === 1 &&
  conclusion === 'failure' &&
  delivery.cancelRequestedAt === null &&
  delivery.cancelSentAt === null

/** Records a request for a re-run before the relay sends it. From now on, only the second attempt decides the result. */
export function rerun(
  delivery: Delivery,
  { run, lost }: Event<'rerunRequested'>,
  { now }: Context,
): Transition {
  const named = lost.map(({ name, runner }) => `"${name}"${runner === null ? '' : ` (${runner})`}`)
  const reason = `${lost.length > 1 ? 'The runners of jobs' : 'The runner of job'} ${names(named)} ${lost.length > 1 ? 'were' : 'was'} lost.`
  const [status, plan] =
    delivery.rerunAt === 0
      ? [REQUESTED, 'The relay runs the failed jobs again, once']
      : [REQUESTED_AGAIN, 'GitHub shows no second attempt, so the relay requests it once more']
  const next = { attempt: 2, status, conclusion: null }
  return {
    change: {
      ...{ rerunAt: now, reason, dueAt: now + FIRST_POLL_MS },
      runs: delivery.runs.map(each => (each.id === run.id ? { ...each, ...next } : each)),
    },
    messages: [
      { log: [{ level: 'WARN', message: `${reason} ${plan}: ${run.url}` }] },
      { update: { statusLabel: 'Runner lost, running again' } },
    ],
    history: { type: 'rerunRequested', details: { github_run_id: run.id } },
  }
}

/** Adds the failure of the first attempt to the failure of a delivery whose failed jobs the relay wanted to run again. */
export function withFirstAttempt({ rerunAt, reason }: Delivery, attempt: number, ending: Ending): Ending {
  if (!rerunAt || ending.conclusion !== 'failure') return ending
  const before =
    attempt === 1
      ? 'The relay wanted to run the failed jobs again, but GitHub shows no second attempt.'
      : `The first attempt also failed: ${reason}`
  return { ...ending, sentence: `${ending.sentence} ${before}` }
}
