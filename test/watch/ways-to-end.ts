import type { GitHubRun } from '../../tools/simulator/github/github.ts'
import type { System } from '../support/system.ts'

/** One way in which a workflow run ends, or never begins, with what Port must then say. */
export interface Way {
  name: string
  /** Whether a job may have run, so that the action may have reported. */
  jobsRan: boolean
  makesRun: boolean
  /** Makes the run; null where none appears. */
  start(system: System): GitHubRun | null
  /** Ends it. */
  end(system: System, run: GitHubRun): void
  /** What Port shows where the relay sees all. */
  ending: { status: 'SUCCESS' | 'FAILURE'; label: string; sentence: string; state: 'finished' | 'failed' }
  /** The same where GitHub's jobs are not to be read; as `ending.sentence` where absent. */
  withoutJobs?: string
  /** Lines that the log must hold where the relay sees all. */
  log?: string[]
}

const RUN_ID = 'r_A1b2C3d4E5f6G7h8'
export const runId = RUN_ID

const queued = (system: System) => system.run(`deploy ${RUN_ID}`)
const conclude = (conclusion: string | null) => (system: System, run: GitHubRun) =>
  system.end(run, conclusion)

/** Ends with one job whose steps ended as given. */
const withJob =
  (
    conclusion: string,
    job: { conclusion: string; runner?: string | null; steps: [name: string, conclusion: string | null][] },
  ) =>
  (system: System, run: GitHubRun) => {
    const steps = job.steps.map(([name, conclusion]) => ({
      name,
      conclusion,
      status: conclusion === null ? ('in_progress' as const) : ('completed' as const),
    }))
    const { runner = 'GitHub Actions 12' } = job
    system.github.setJobs(run.id, 1, [
      { name: 'deploy', status: 'completed', conclusion: job.conclusion, runner_name: runner, steps },
    ])
    system.end(run, conclusion)
  }

const simple = (conclusion: string | null, label: string, sentence: string): Way => ({
  name: conclusion === null ? 'ended without a conclusion' : `ended as ${conclusion}`,
  jobsRan: false,
  makesRun: true,
  start: queued,
  end: conclude(conclusion),
  ending: { status: 'FAILURE', state: 'failed', label, sentence },
})

export const WAYS: Way[] = [
  {
    name: 'no workflow listens',
    jobsRan: false,
    makesRun: false,
    start: () => null,
    end() {},
    ending: {
      status: 'FAILURE',
      state: 'failed',
      label: 'Not started',
      sentence:
        'No workflow in acme/shop listens to repository_dispatch type deploy on its default branch. Add "on: repository_dispatch: types: [deploy]" to the workflow there, or correct the event type.',
    },
  },
  {
    name: 'the workflows are disabled',
    jobsRan: false,
    makesRun: false,
    start: system => {
      system.workflows([{ name: 'Deploy', state: 'disabled_manually' }])
      return null
    },
    end() {},
    ending: {
      status: 'FAILURE',
      state: 'failed',
      label: 'Not started',
      sentence:
        "No workflow in acme/shop listens to repository_dispatch type deploy on its default branch: all of its workflows are disabled (Deploy). Enable the right one on the repository's Actions page.",
    },
  },
  {
    name: 'the repository has no workflow',
    jobsRan: false,
    makesRun: false,
    start: system => {
      system.workflows([])
      return null
    },
    end() {},
    ending: {
      status: 'FAILURE',
      state: 'failed',
      label: 'Not started',
      sentence:
        'No workflow in acme/shop listens to repository_dispatch type deploy on its default branch: it has no workflow at all. Add one with "on: repository_dispatch: types: [deploy]" to the default branch, and see that Actions are enabled in the repository\'s settings.',
    },
  },
  {
    name: 'cancelled while queued',
    jobsRan: false,
    makesRun: true,
    start: queued,
    end: withJob('cancelled', { conclusion: 'cancelled', runner: null, steps: [] }),
    ending: {
      status: 'FAILURE',
      state: 'failed',
      label: 'Cancelled',
      sentence:
        "The workflow run in acme/shop was cancelled while it was queued, before a runner took it: by a person, or by the workflow's concurrency group. Run the Port action again if it is still wanted.",
    },
    withoutJobs:
      "The workflow run in acme/shop was cancelled, or reached timeout-minutes, and could not report it. The run's page shows who or what ended it.",
    log: ['Job "deploy": cancelled, before a runner took it.'],
  },
  simple(
    'startup_failure',
    'Not started',
    "The workflow in acme/shop could not start: its file has an error, or asks for a permission or an action that the repository does not allow. The run's page shows which.",
  ),
  simple(
    'skipped',
    'Skipped',
    'Every job of the workflow run in acme/shop was skipped, so nothing was done: check the "if" of its jobs.',
  ),
  simple(
    'action_required',
    'Needs approval',
    "GitHub holds the workflow run in acme/shop back until a person approves it: approve it on the run's page; no further updates are sent to Port.",
  ),
  simple(
    'stale',
    'Stale',
    'GitHub ended the workflow run in acme/shop because it made no progress for too long: check that a runner with its labels is online, and run the Port action again.',
  ),
  simple(
    'exploded',
    'Ended',
    'The workflow run in acme/shop ended with the conclusion "exploded", which this relay does not know: look at the run\'s page.',
  ),
  simple(null, 'Ended', "The workflow run in acme/shop ended with no conclusion: look at the run's page."),
  {
    name: 'the job could not be set up',
    jobsRan: false,
    makesRun: true,
    start: queued,
    end: withJob('failure', { conclusion: 'failure', steps: [['Set up job', 'failure']] }),
    ending: {
      status: 'FAILURE',
      state: 'finished',
      label: 'Failed',
      sentence:
        'Job "deploy" could not be set up: an action that it uses does not exist or may not be used, or its runner is not ready. The run\'s page shows which.',
    },
    withoutJobs: "The workflow run in acme/shop failed. The run's page shows where.",
    log: ['Job "deploy": failure at step 1 "Set up job".'],
  },
  {
    name: 'a step failed',
    jobsRan: true,
    makesRun: true,
    start: queued,
    end: withJob('failure', {
      conclusion: 'failure',
      steps: [
        ['Set up job', 'success'],
        ['Run ./deploy.sh', 'failure'],
      ],
    }),
    ending: {
      status: 'FAILURE',
      state: 'finished',
      label: 'Failed',
      sentence: 'Job "deploy" failed at step 2 "Run ./deploy.sh". See its log.',
    },
    withoutJobs: "The workflow run in acme/shop failed. The run's page shows where.",
    log: ['Job "deploy": failure at step 2 "Run ./deploy.sh".'],
  },
  {
    name: 'the runner was lost',
    jobsRan: true,
    makesRun: true,
    start: queued,
    end: withJob('failure', {
      conclusion: 'failure',
      steps: [
        ['Set up job', 'success'],
        ['Run ./deploy.sh', null],
      ],
    }),
    ending: {
      status: 'FAILURE',
      state: 'finished',
      label: 'Failed',
      sentence:
        'The runner of job "deploy" was lost while step 2 "Run ./deploy.sh" ran: it was shut down, ran out of memory, or lost its network. Look at the runner, and run the Port action again.',
    },
    withoutJobs: "The workflow run in acme/shop failed. The run's page shows where.",
    log: [
      'Job "deploy": failure.',
      'The log of job "deploy" is not there, as after a lost runner; the run on GitHub may show more.',
    ],
  },
  {
    name: 'force-cancelled, or its job ran out of time',
    jobsRan: true,
    makesRun: true,
    start: queued,
    end: withJob('cancelled', {
      conclusion: 'cancelled',
      steps: [
        ['Set up job', 'success'],
        ['Run ./deploy.sh', 'cancelled'],
      ],
    }),
    ending: {
      status: 'FAILURE',
      state: 'failed',
      label: 'Cancelled',
      sentence:
        "The workflow run in acme/shop was cancelled, or reached timeout-minutes, and could not report it. The run's page shows who or what ended it.",
    },
    log: ['Job "deploy": cancelled.'],
  },
  {
    name: 'timed out',
    jobsRan: true,
    makesRun: true,
    start: queued,
    end: withJob('timed_out', { conclusion: 'timed_out', steps: [['Run ./deploy.sh', 'timed_out']] }),
    ending: {
      status: 'FAILURE',
      state: 'failed',
      label: 'Timed out',
      sentence:
        'The workflow run in acme/shop timed out: raise timeout-minutes of its job, or find out which step hangs.',
    },
    log: ['Job "deploy": timed_out at step 1 "Run ./deploy.sh".'],
  },
  {
    name: 'ended well while nothing reported it',
    jobsRan: true,
    makesRun: true,
    start: queued,
    end: conclude('success'),
    ending: {
      status: 'SUCCESS',
      state: 'finished',
      label: 'Succeeded',
      sentence: 'The workflow run in acme/shop ended with success.',
    },
  },
  {
    name: 'ended neutral',
    jobsRan: true,
    makesRun: true,
    start: queued,
    end: conclude('neutral'),
    ending: {
      status: 'SUCCESS',
      state: 'finished',
      label: 'Ended neutral',
      sentence: 'The workflow run in acme/shop ended neutral, which GitHub counts as passed.',
    },
  },
]

const REFUSED =
  "the relay's token or App lacks Actions: read on acme/shop (403: Resource not accessible by personal access token)"

/** Where the relay may not read actions, and nothing reported in time. */
export const NOT_SEEN = `Nothing reported from acme/shop within 1 min of the dispatch of "deploy" to acme/shop. Either no workflow listens to it on the default branch, or its run still waits for a runner, or it does not use the action. The relay cannot look, since ${REFUSED}: give it Actions: read, and look at the repository's Actions page.`

/** Where it started, and its end could not be seen. */
export const END_NOT_SEEN = `Nothing reported within 5 min how the workflow run in acme/shop ended, and the relay cannot look, since ${REFUSED}. Look at the run on GitHub, and give the relay Actions: read.`
