import { expect, test } from 'vitest'
import type { Delivery, DeliveryRun } from '../../relay/delivery/delivery.ts'
import type { NoRun } from '../../relay/delivery/events.ts'
import { decide } from '../../relay/delivery/final-status.ts'
import { canRerun } from '../../relay/delivery/rerun.ts'
import type { Job } from '../../relay/github/jobs.ts'

const job = (
  conclusion: string,
  steps: [name: string, conclusion: string | null][],
  started = true,
): Job[] => [
  {
    ...{ id: 1, name: 'deploy', conclusion, started, runner: null, startedAt: null, finishedAt: null },
    steps: steps.map(([name, result], n) => ({ name, number: n + 1, conclusion: result, finishedAt: null })),
  },
]
const POLICY = { serverUrl: 'https://github.com' }
const DELIVERY = {
  ...{ repository: 'acme/shop', eventType: 'deploy', workflow: null, ref: null },
  ...{ cancelRequestedAt: null, reported: null, runs: [] as DeliveryRun[] },
} as Delivery
const NO_JOBS = 'The workflow run in acme/shop failed before any of its jobs started.'

/** The run's conclusion → the delivery's state, the conclusion in Port, the outcome, and the label in Port. */
const RESULTS: Record<string, [state: string, conclusion: string, outcome: string, label: string]> = {
  success: ['finished', 'success', 'succeeded', 'Succeeded'],
  neutral: ['finished', 'success', 'succeeded', 'Neutral'],
  failure: ['finished', 'failure', 'failed', 'Failed'],
  cancelled: ['failed', 'cancelled', 'cancelled', 'Canceled'],
  timed_out: ['failed', 'failure', 'failed', 'Timed out'],
  startup_failure: ['failed', 'failure', 'failed', 'Not started'],
  skipped: ['failed', 'failure', 'not_started', 'Skipped'],
  action_required: ['failed', 'failure', 'failed', 'Needs approval'],
  stale: ['failed', 'failure', 'failed', 'Stale'],
  exploded: ['failed', 'failure', 'unknown', 'Finished'],
  null: ['failed', 'failure', 'unknown', 'Finished'],
}
const RUN = 'The workflow run in acme/shop'
const setup: Parameters<typeof job>[1] = [['Set up job', 'failure']]
const second: Parameters<typeof job>[1] = [
  ['Set up job', 'success'],
  ['Run it', 'failure'],
]

/** Columns: the run's conclusion, its jobs, and the start of the sentence. */
test.each<[conclusion: string | null, jobs: Job[] | null, start: string]>([
  ['success', null, `${RUN} succeeded.`],
  ['neutral', null, `${RUN} finished with the conclusion neutral`],
  ['failure', null, `${RUN} failed. The run's page on GitHub shows the failed step.`],
  ['failure', [], NO_JOBS],
  ['failure', job('failure', [], false), NO_JOBS],
  ['failure', job('failure', setup), 'Job "deploy" couldn\'t be set up: '],
  [
    'failure',
    [...job('failure', second), ...job('failure', [])],
    'Job "deploy" failed at step 2 "Run it" (and 1 more',
  ],
  ['failure', job('failure', [['Run it', null]]), 'The runner of job "deploy" was lost while step 1 "Run it'],
  ['cancelled', job('cancelled', [], false), `${RUN} was canceled before a runner picked it up`],
  ['cancelled', job('cancelled', []), `${RUN} was canceled or reached timeout-minutes`],
  ['timed_out', null, `${RUN} timed out: raise the job's timeout-minutes`],
  ['startup_failure', null, NO_JOBS],
  ['skipped', null, 'Every job of the workflow run in acme/shop was skipped'],
  ['action_required', null, `${RUN} waits for approval on GitHub`],
  ['stale', null, 'GitHub stopped the workflow run in acme/shop, because it made no progress'],
  ['exploded', null, `${RUN} finished with the conclusion "exploded", which this relay doesn't know`],
  [null, null, `${RUN} finished with no conclusion`],
])('a run with conclusion %j and jobs %j has its state, conclusion, and sentence', (ended, jobs, start) => {
  const [state, conclusion, outcome, label] = RESULTS[String(ended)]!
  const { sentence, ...found } = decide(DELIVERY, { run: { conclusion: ended } as DeliveryRun, jobs }, POLICY)
  expect(found).toEqual({ state, conclusion, outcome, label })
  expect(sentence.startsWith(start), sentence).toBe(true)
})

const reason = 'its token lacks Actions: read'
/** Columns: why there is no run, the label, and a part of the sentence. */
test.each<[cause: NoRun, label: string, part: string]>([
  [{ why: 'nothing listens' }, 'Not started', 'Add "on: repository_dispatch: types: [deploy]"'],
  [{ why: 'nothing listens' }, 'Not started', "enable the workflow if it's disabled"],
  [{ why: 'nothing listens', listeners: 'found' }, 'Not started', 'check that Actions are enabled'],
  [{ why: 'not seen', reason, startTimeout: 60_000 }, 'Not started', 'within 1 min of the dispatch'],
  [{ why: 'end not seen', reason, runTimeout: 300_000 }, 'Not followed further', `can't read it: ${reason}`],
  [{ why: 'unknown', reason, runTimeout: 300_000 }, 'Unknown', `within 5 min: ${reason}`],
  [
    { why: 'too long', runTimeout: 300_000, status: 'queued' },
    'Not followed further',
    "hasn't finished within 5 min",
  ],
  [{ why: 'deleted' }, 'Deleted', 'was deleted'],
])('a delivery without a workflow run because of %j becomes %s', (cause, label, part) => {
  const outcome = label === 'Not started' ? 'not_started' : 'unknown'
  expect(decide(DELIVERY, { cause }, POLICY)).toEqual({
    ...{ state: 'failed', conclusion: 'failure', outcome, label, sentence: expect.stringContaining(part) },
  })
})

const NOT_SEEN: NoRun = { why: 'not seen', reason, startTimeout: 60_000 }
test.each<[Parameters<typeof decide>[1], sentAt: number | null, outcome: string]>([
  [{ run: { conclusion: 'cancelled' } as DeliveryRun, jobs: null }, null, 'cancelled'],
  [{ run: { conclusion: 'success' } as DeliveryRun, jobs: null }, null, 'succeeded'],
  [{ cause: { why: 'nothing listens' } }, null, 'cancelled'],
  [{ cause: { why: 'deleted' } }, 1, 'cancelled'],
  [{ cause: { why: 'deleted' } }, null, 'unknown'],
  [{ cause: NOT_SEEN }, null, 'unknown'],
  [{ cause: { why: 'unidentified', amount: 2 } }, null, 'unknown'],
])(
  'a canceled delivery with %j, whose cancellation was sent at %j, becomes %s',
  (seen, cancelSentAt, outcome) => {
    const ending = decide({ ...DELIVERY, cancelRequestedAt: 1, cancelSentAt }, seen, POLICY)
    expect(ending.outcome).toBe(outcome)
    expect(ending.state === 'cancelled').toBe(outcome === 'cancelled')
    const isOpen = 'cause' in seen && ['not seen', 'unidentified'].includes(seen.cause.why)
    expect(
      /A workflow run may still be in progress: see https:\/\/github.com\/acme\/shop\/actions\./.test(
        ending.sentence,
      ),
    ).toBe(isOpen)
  },
)

test('after a request for a cancellation, the relay re-runs no jobs, even if GitHub refused the cancellation', () => {
  const run = { id: 7, attempt: 1, past: false, status: 'completed', conclusion: 'failure' } as DeliveryRun
  const delivery = { ...DELIVERY, rerunAt: 0, cancelSentAt: null, runs: [run] } as Delivery
  expect(canRerun(delivery, run)).toBe(true)
  // GitHub refused the cancellation, so `cancelRequestedAt` is null again, but the user wanted no further work.
  expect(canRerun({ ...delivery, cancelSentAt: 1 }, run)).toBe(false)
  expect(canRerun({ ...delivery, cancelRequestedAt: 1 }, run)).toBe(false)
  expect(canRerun(delivery, { ...run, attempt: 2 })).toBe(false)
})
