import type { Annotation } from '../port/annotations.ts'
import {
  createStepLister,
  type ListedJob,
  type ListedStep,
  listAnnotations,
  PERMISSION_HINT,
} from './runner/jobs.ts'
import type { Runner, Workflow } from './runner/runner.ts'

/** A step of this job, as GitHub's API shows it. */
export interface Step {
  name: string
  /** Null while the step runs. */
  conclusion: string | null
  /** Duration in ms; null if GitHub names no times, for example for a skipped step. */
  durationMs: number | null
}

/**
 * Null if GitHub didn't list the steps; `problem` then explains why. `job` is the name that GitHub's pages show.
 * `others` are the conclusions of other jobs.
 */
export type JobSteps =
  | {
      job: string
      steps: Step[]
      earlier: string | null
      others: Record<string, string>
      annotations: Annotation[]
      problem: null
    }
  | { job: null; steps: null; others: Record<string, string>; annotations: Annotation[]; problem: string }

/** The maximum number of failed jobs whose annotations are read. */
const MOST_JOBS = 5
/** GitHub shows a finished step about one second late. */
const LAG_MS = 1_000

/**
 * Lists the author's steps in order, without the steps of the runner and this action, and without `post` steps.
 * `earlier` is the name of a step that ran before this action.
 *
 * @param options.isFailed whether this job failed. If so, its annotations are read, and those of other jobs if it has
 *   `needs`
 * @param options.startedAt when main of this action started, in ms since the epoch
 */
export async function readSteps(
  workflow: Workflow,
  options: {
    token: string
    checkRunId: string | null
    startedAt: number
    isFailed: boolean
    hasNeeds: boolean
  },
  { fetch, clock, sleep }: Pick<Runner, 'fetch' | 'clock' | 'sleep'>,
): Promise<JobSteps> {
  const no = (reason: string): JobSteps => ({
    job: null,
    steps: null,
    others: {},
    annotations: [],
    problem: `The steps of this job are not reported to Port: ${reason}`,
  })
  if (options.token === '') return no(`github-token is empty. ${PERMISSION_HINT}`)
  const annotationsOf = async ({ id, failed }: ListedJob) => {
    const others = options.hasNeeds ? failed.filter(other => other !== id) : []
    const jobs = [...(options.isFailed ? [id] : []), ...others].slice(0, MOST_JOBS)
    return jobs.length > 0 ? listAnnotations(workflow, jobs, options.token, fetch) : []
  }
  const list = createStepLister(workflow, options, { fetch, clock })
  try {
    let job = await list()
    if (job?.steps.some(step => step.authors && step.status === 'in_progress')) {
      await sleep(LAG_MS)
      job = await list()
    }
    if (!job) return no('GitHub does not list it among the jobs of its run.')
    const { name, steps, others } = job
    return {
      job: name,
      steps: steps.filter(step => step.authors).map(toStep),
      earlier: findEarlier(steps, options),
      others,
      annotations: await annotationsOf(job),
      problem: null,
    }
  } catch (error) {
    return no((error as Error).message)
  }
}

/** Times are in whole seconds, so a step counts as earlier only if it was completed a second before. */
function findEarlier(steps: ListedStep[], { startedAt }: { startedAt: number }): string | null {
  const own = steps.findIndex(step => step.own)
  const earlier = steps.find(
    (step, index) =>
      step.authors &&
      step.conclusion !== 'skipped' &&
      (own < 0 ? step.completedAt + 1_000 <= startedAt : index < own),
  )
  return earlier?.name ?? null
}

function toStep({ name, status, conclusion, startedAt, completedAt }: ListedStep): Step {
  return {
    name,
    conclusion: conclusion ?? (status === 'in_progress' ? null : 'not run'),
    durationMs: Number.isFinite(completedAt - startedAt) ? Math.max(completedAt - startedAt, 0) : null,
  }
}
