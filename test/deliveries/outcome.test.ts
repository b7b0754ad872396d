import { expect, test } from 'vitest'
import { decide } from '../../relay/delivery/decide.ts'
import type { Delivery, DeliveryRun } from '../../relay/delivery/delivery.ts'
import type { NoRun } from '../../relay/delivery/events.ts'
import { PROTECTION_HINT } from '../../relay/github/errors.ts'
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
const NO_JOBS = `The workflow run in acme/shop failed before any of its jobs started. The run's page shows GitHub's error, for example: the workflow file has an error; it uses an action or a permission that the repository doesn't allow (Settings, Actions, General); or ${PROTECTION_HINT}.`
const LOST = "before it could report its result. The run's page shows who or what stopped it."

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

test.each<[conclusion: string | null, jobs: Job[] | null, sentence: string]>([
  ['success', null, `${RUN} succeeded.`],
  ['neutral', null, `${RUN} finished as neutral, which GitHub counts as passed.`],
  ['failure', null, `${RUN} failed. The run's page shows where.`],
  ['failure', [], NO_JOBS],
  ['failure', job('failure', [], false), NO_JOBS],
  [
    'failure',
    job('failure', [['Set up job', 'failure']]),
    "Job \"deploy\" couldn't be set up: an action that it uses doesn't exist or isn't allowed, or its runner isn't ready. The run's page shows the reason.",
  ],
  [
    'failure',
    [
      ...job('failure', [
        ['Set up job', 'success'],
        ['Run it', 'failure'],
      ]),
      ...job('failure', []),
    ],
    'Job "deploy" failed at step 2 "Run it" (and 1 more failed). See its log.',
  ],
  [
    'failure',
    job('failure', [['Run it', null]]),
    'The runner of job "deploy" was lost while step 1 "Run it" was running: it was shut down, ran out of memory, or lost its network. Look at the runner, and run the Port action again.',
  ],
  [
    'cancelled',
    job('cancelled', [], false),
    `${RUN} was canceled before a runner picked it up: by a user, or because a newer run of its concurrency group replaced it, which "queue: max" under "concurrency" prevents. Run the Port action again if the work is still needed.`,
  ],
  ['cancelled', job('cancelled', []), `${RUN} was canceled or reached timeout-minutes ${LOST}`],
  ['timed_out', null, `${RUN} timed out: raise the job's timeout-minutes, or find out which step hangs.`],
  ['startup_failure', null, NO_JOBS],
  [
    'skipped',
    null,
    'Every job of the workflow run in acme/shop was skipped, so nothing was done: check the "if" of its jobs.',
  ],
  [
    'action_required',
    null,
    `${RUN} waits for approval on GitHub: approve it on the run's page. Port gets no further updates.`,
  ],
  [
    'stale',
    null,
    "GitHub stopped the workflow run in acme/shop, because it made no progress for too long: check that a runner with the job's labels is online, and run the Port action again.",
  ],
  [
    'exploded',
    null,
    `${RUN} finished with the conclusion "exploded", which this relay doesn't know: see the run's page.`,
  ],
  [null, null, `${RUN} finished with no conclusion: see the run's page.`],
])(
  'a run with conclusion %j and jobs %j has its state, conclusion, and sentence',
  (ended, jobs, sentence) => {
    const [state, conclusion, outcome, label] = RESULTS[String(ended)]!
    const expected = { state, conclusion, outcome, label, sentence }
    const run = { conclusion: ended } as DeliveryRun
    expect(decide(DELIVERY, { run, jobs }, POLICY)).toEqual(expected)
  },
)

const LISTENS = 'No workflow in acme/shop listens to repository_dispatch type deploy on its default branch'
const ADD = 'Add "on: repository_dispatch: types: [deploy]" to a workflow, or correct the event type.'
const reason = 'its token lacks Actions: read'

test.each<[cause: NoRun, label: string, sentence: string]>([
  [{ why: 'nothing listens', disabled: [], workflows: 2 }, 'Not started', `${LISTENS}. ${ADD}`],
  [
    { why: 'nothing listens', disabled: ['A'], workflows: 2 },
    'Not started',
    `${LISTENS}. ${ADD} Disabled workflows don't listen: A.`,
  ],
  [
    { why: 'nothing listens', disabled: ['A', 'B'], workflows: 2 },
    'Not started',
    `${LISTENS}: all workflows in the repository are disabled (A, B). Enable the right workflow on the repository's Actions page.`,
  ],
  [
    { why: 'nothing listens', disabled: [], workflows: 0 },
    'Not started',
    `${LISTENS}: the repository has no workflows. Add a workflow with "on: repository_dispatch: types: [deploy]" to the default branch, and check that Actions are enabled in the repository's settings.`,
  ],
  [
    { why: 'not seen', reason, startTimeout: 60_000 },
    'Not started',
    `No workflow run in acme/shop reported within 1 min of the dispatch of "deploy" to acme/shop. Either no workflow on the default branch listens to it, or the run still waits for a runner, or the workflow doesn't use the action. The relay can't read the runs: ${reason}. Give it the permission Actions: read, and check the repository's Actions page.`,
  ],
  [
    { why: 'end not seen', reason, runTimeout: 300_000 },
    'Not followed further',
    `The workflow run in acme/shop reported no result within 5 min, and the relay can't read it: ${reason}. Look at the run on GitHub, and give the relay Actions: read.`,
  ],
  [
    { why: 'unknown', reason, runTimeout: 300_000 },
    'Unknown',
    `The relay couldn't determine the result of the dispatch of "deploy" to acme/shop within 5 min: ${reason}. Look at the repository's Actions page.`,
  ],
])('a delivery without a workflow run because of %j becomes %s', (cause, label, sentence) => {
  const outcome = label === 'Not started' ? 'not_started' : 'unknown'
  expect(decide(DELIVERY, { cause }, POLICY)).toEqual({
    ...{ state: 'failed', conclusion: 'failure', outcome, label, sentence },
  })
})

const NOT_SEEN: NoRun = { why: 'not seen', reason, startTimeout: 60_000 }
test.each<[Parameters<typeof decide>[1], sentAt: number | null, outcome: string]>([
  ...['cancelled', 'success', 'failure'].map(
    (conclusion): [{ run: DeliveryRun; jobs: null }, null, string] => [
      { run: { conclusion } as DeliveryRun, jobs: null },
      ...([null, RESULTS[conclusion]![2]] as const),
    ],
  ),
  [{ cause: { why: 'nothing listens', disabled: [], workflows: 2 } }, null, 'cancelled'],
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
      /a workflow run may be going on, see https:\/\/github.com\/acme\/shop\/actions\./.test(ending.sentence),
    ).toBe(isOpen)
  },
)
