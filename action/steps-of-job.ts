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
  /** Null while it runs. */
  conclusion: string | null
  /** ms; null if GitHub names no times, as for a skipped step. */
  durationMs: number | null
}

/**
 * Null if GitHub did not list them; `problem` is then a sentence for a notice. `job` is the name that its pages show;
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

/** Failed jobs whose annotations are read. */
const MOST_JOBS = 5
/** GitHub shows a finished step about a second late. */
const LAG_MS = 1_000

/**
 * The author's steps of this job, in order: without the runner's own, this action's, and posts. `earlier` is the
 * name of one that ran before this action.
 *
 * @param options.isFailed whether this job failed, so that its annotations say why; those of other jobs are read if the job has
 *   `needs`
 * @param options.startedAt when this action's main started, ms epoch
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
