import type { LogLine } from '../../../port/types.ts'
import { cleanLog } from '../../github/clean-log.ts'
import type { Job, JobReader } from '../../github/read-jobs.ts'
import type { RequestBudget } from '../../github/request-budget.ts'
import { failedStep } from '../transition/ending-texts.ts'
import type { JobsFound } from '../transition/events.ts'

/** Logs that are fetched; further failed jobs are named only. */
const MAX_LOGS = 5
const MAX_NAMED = 50
/** Requests that logs leave in the budget for the jobs of other runs, whose results wait for them. */
const LEFT_BY_LOGS = 5

/**
 * Reads the jobs of a run that ended badly. Never throws: a line names what could not be read.
 *
 * @returns null when the budget has nothing left for it now
 */
export async function findFailedJobs(
  repository: string,
  run: { id: number; attempt: number },
  { github, budget }: { github: JobReader; budget: RequestBudget },
): Promise<JobsFound | null> {
  if (!budget.take()) return null
  let found: Awaited<ReturnType<JobReader['jobs']>>
  try {
    found = await github.jobs(repository, run.id, run.attempt)
  } catch {
    const message = 'GitHub did not show which of its jobs failed; the run on GitHub does.'
    return { jobs: null, lines: [{ level: 'WARN', message }] }
  }
  const { jobs, total } = found
  const bad = jobs.filter(job => job.conclusion !== 'success' && job.conclusion !== 'skipped')
  const logs = await Promise.all(
    bad.map((job, i) => (i < MAX_LOGS && job.conclusion === 'failure' ? readLog(job) : null)),
  )
  const lines = bad.slice(0, MAX_NAMED).flatMap((job, i): LogLine[] => {
    const log = logs[i]
    return [{ level: 'ERROR', message: describe(job) }, ...(log ?? [])]
  })
  const unnamed = bad.length - MAX_NAMED + (total - jobs.length)
  if (unnamed > 0 && bad.length > 0) {
    lines.push({
      level: 'WARN',
      message: 'The run has more jobs than are named here; the run on GitHub shows all.',
    })
  }
  return { jobs, lines }

  async function readLog(job: Job): Promise<LogLine[]> {
    const missing = (why: string): LogLine[] => [
      { level: 'WARN', message: `The log of job "${job.name}" ${why}; the run on GitHub may show more.` },
    ]
    if (!budget.take(1, LEFT_BY_LOGS))
      return missing('was not fetched, since GitHub may be asked only so often')
    try {
      const text = await github.jobLog(repository, job.id)
      if (text === null) return missing('is not there, as after a lost runner')
      const tail = cleanLog(text, failedStep(job)?.endedAt ?? null)
      if (tail.length === 0) return missing('is empty')
      const head: LogLine = { level: 'INFO', message: `The last lines of the log of job "${job.name}":` }
      return [head, ...tail.map((message): LogLine => ({ level: 'INFO', message }))]
    } catch {
      return missing('could not be fetched')
    }
  }
}

function describe(job: Job): string {
  const step = failedStep(job)
  const how = job.conclusion ?? 'no conclusion'
  return step
    ? `Job "${job.name}": ${how} at step ${step.number} "${step.name}".`
    : `Job "${job.name}": ${how}${job.started ? '' : ', before a runner took it'}.`
}
