import { TIMEOUT_MS } from '../github/credentials.ts'
import type { WorkflowRun } from '../github/runs.ts'
import type { Delivery, DeliveryRun, Transition } from './delivery.ts'
import { type Context, type Event, type Policy, timeoutEnd } from './events.ts'
import { FIRST_POLL_MS } from './match.ts'
import { type Ending, names } from './outcome.ts'

/** The maximum time between the last request for a second attempt and its appearance on GitHub. */
export const RERUN_MS = 300_000
/** A recorded request is sent within this time, or not at all. */
export const SEND_MS = 3_000
/** After this time, no request is in progress anymore. If GitHub still shows the first attempt, the relay repeats the request once. */
const REPEAT_MS = SEND_MS + TIMEOUT_MS

/** The statuses of a second attempt that GitHub doesn't show yet: after the first request, and after the repeated one. */
const REQUESTED = 'requested'
const REQUESTED_AGAIN = 'requested again'
export const isRequested = ({ status }: DeliveryRun) => status === REQUESTED || status === REQUESTED_AGAIN
const mayRepeat = ({ rerunAt, runs }: Delivery) =>
  Boolean(rerunAt) && runs.some(run => run.status === REQUESTED)

/** Returns when GitHub should show the second attempt. After this time, the relay reads the run by its ID. */
export const secondAttemptBy = (delivery: Delivery, policy: Policy): number =>
  timeoutEnd(delivery.rerunAt || Number.POSITIVE_INFINITY, mayRepeat(delivery) ? REPEAT_MS : RERUN_MS, policy)

/** Returns the first attempt if GitHub shows that the requested second one hasn't started; otherwise, the run itself. */
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

/** Records a request for a re-run before the relay sends the request. From now on, the second attempt decides the result. */
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

/** If a delivery fails after a re-run was requested, adds the failure of the first attempt to its sentence. */
export function withFirstAttempt({ rerunAt, reason }: Delivery, attempt: number, ending: Ending): Ending {
  if (!rerunAt || ending.conclusion !== 'failure') return ending
  const before =
    attempt === 1
      ? 'The relay wanted to run the failed jobs again, but GitHub shows no second attempt.'
      : `The first attempt also failed: ${reason}`
  return { ...ending, sentence: `${ending.sentence} ${before}` }
}
