import { type Annotation, annotationLines } from '../../port/annotations.ts'
import type { LogLine } from '../../port/types.ts'
import type { Delivery, DeliveryRun, Wait } from '../delivery/delivery.ts'
import type { DeliveryEvent, JobsFound } from '../delivery/events.ts'
import { failedStep } from '../delivery/outcome.ts'
import type { GitHub } from '../github/client.ts'
import { isProtection, PROTECTION_HINT, readFailure } from '../github/errors.ts'
import { cleanLog, type Job, type JobReader } from '../github/jobs.ts'
import type { RequestBudget } from '../github/rate-limit-pause.ts'
import { cleanText } from '../github/response.ts'
import { LOCKFILE, type WorkflowFileReader } from '../github/workflow-files.ts'

/** Maximum number of job logs to fetch. For other failed jobs, only the names are shown. */
const MAX_LOGS = 5
const MAX_NAMED = 50
const BLOCKED: LogLine = { level: 'ERROR', message: `What to change: ${PROTECTION_HINT}.` }
const LOCKED: LogLine = {
  level: 'ERROR',
  message: `The repository has a workflow lockfile, ${LOCKFILE}, and GitHub starts no workflow with an action that it lacks: run "gh actions-lock", and commit the file.`,
}
const MAX_ANNOTATION = 1_000
/** Requests that job logs leave in the budget for other runs' jobs, so that the results of ten runs a minute don't wait. */
const LEFT_BY_LOGS = 9

/**
 * Reads a failed run's jobs. Never throws. If a read fails, a log line reports it.
 *
 * @param isReported such a job gets no lines, because the action redacts what it sends, and the relay can't
 * @returns null if the request budget is used up
 */
export async function findFailedJobs(
  repository: string,
  run: Pick<DeliveryRun, 'id' | 'attempt' | 'conclusion'>,
  isReported: (job: Job) => boolean,
  { github, budget }: { github: JobReader & Pick<WorkflowFileReader, 'workflowFile'>; budget: RequestBudget },
): Promise<JobsFound | null> {
  if (!budget.take()) return null
  let found: Awaited<ReturnType<JobReader['jobs']>>
  try {
    found = await github.jobs(repository, run.id, run.attempt)
  } catch {
    const message = "The relay couldn't read from GitHub which jobs failed; see the run on GitHub."
    return { jobs: null, lines: [{ level: 'WARN', message }] }
  }
  const { jobs, total } = found
  const isBad = (job: Job) => job.conclusion !== 'success' && job.conclusion !== 'skipped'
  const bad = jobs.filter(job => isBad(job) && !isReported(job))
  const isRead = (job: Job, i: number) => i < MAX_LOGS && job.conclusion === 'failure'
  const [logs, annotations] = await Promise.all([
    Promise.all(bad.map((job, i) => (isRead(job, i) ? readLog(job) : null))),
    Promise.all(bad.filter(isRead).map(readAnnotations)),
  ])
  const shown = annotationLines(annotations.flat(), text =>
    cleanText(text.replaceAll(/\*{3,}/g, '[masked]'), MAX_ANNOTATION),
  )
  const lines = bad
    .slice(0, MAX_NAMED)
    .flatMap((job, i): LogLine[] => [{ level: 'ERROR', message: describe(job) }, ...(logs[i] ?? [])])
  const isBlocked = annotations.flat().some(({ message }) => isProtection(message))
  const isUnstarted = run.conclusion !== 'cancelled' && !jobs.some(job => job.started)
  lines.unshift(...shown, ...(isBlocked ? [BLOCKED] : []), ...(isUnstarted ? await findLockfile() : []))
  const unnamed = bad.length - MAX_NAMED + (total - jobs.length)
  if (unnamed > 0 && bad.length > 0) {
    const message = 'The run has more jobs than are listed here; the run on GitHub shows all of them.'
    lines.push({ level: 'WARN', message })
  }
  return { jobs, lines }

  async function findLockfile(): Promise<LogLine[]> {
    if (!budget.take()) return []
    return github.workflowFile(repository, LOCKFILE).then(
      () => [LOCKED],
      () => [],
    )
  }

  /** Reads a job's annotations. Returns none if the permission is missing or GitHub fails. */
  async function readAnnotations(job: Job): Promise<Annotation[]> {
    if (!budget.take(1, LEFT_BY_LOGS)) return []
    return github.annotations(repository, job.id).catch(() => [])
  }

  async function readLog(job: Job): Promise<LogLine[]> {
    const missing = (why: string): LogLine[] => [
      { level: 'WARN', message: `The log of job "${job.name}" ${why}; the run on GitHub may show more.` },
    ]
    if (!budget.take(1, LEFT_BY_LOGS)) return missing("wasn't fetched, to save requests to GitHub")
    try {
      const text = await github.jobLog(repository, job.id)
      if (text === null) return missing("doesn't exist, for example because the runner was lost")
      const tail = cleanLog(text, failedStep(job)?.finishedAt ?? null)
      if (tail.length === 0) return missing('is empty')
      const head: LogLine = { level: 'INFO', message: `The last lines of the log of job "${job.name}":` }
      return [head, ...tail.map((message): LogLine => ({ level: 'INFO', message }))]
    } catch {
      return missing("couldn't be fetched")
    }
  }
}

function describe(job: Job): string {
  const step = failedStep(job)
  const how = job.conclusion ?? 'no conclusion'
  return step
    ? `Job "${job.name}": ${how} at step ${step.number} "${step.name}".`
    : `Job "${job.name}": ${how}${job.started ? '' : ', before a runner picked it up'}.`
}

/** Returns what a queued run waits for. A job of the run can wait for another cause than the run's status says. */
export async function readWait(
  repository: string,
  { run, cause }: { run: DeliveryRun; cause: 'runner' | 'concurrency' },
  { github, budget }: { github: Pick<JobReader, 'jobs'>; budget: RequestBudget },
): Promise<Wait> {
  const found = budget.take() ? await github.jobs(repository, run.id, run.attempt).catch(() => null) : null
  const labels = (found?.jobs ?? []).flatMap(job => job.awaitedLabels ?? [])
  return { cause, reason: [...new Set(labels)].join(', '), until: null }
}

/** @returns null if GitHub doesn't return the approvals, for example because the permission is missing */
export async function readApprovals(
  { repository }: Delivery,
  runs: readonly DeliveryRun[],
  { github, budget }: { github: Pick<GitHub, 'pendingDeployments' | 'approvals'>; budget: RequestBudget },
): Promise<DeliveryEvent | null> {
  const present = runs.filter(run => !run.past)
  const requests = present.map(run => (run.status === 'waiting' ? 2 : 1)).reduce((all, each) => all + each, 0)
  if (present.length === 0 || !budget.take(requests)) return null
  try {
    const found = await Promise.all(
      present.map(async run => ({
        pending: run.status === 'waiting' ? await github.pendingDeployments(repository, run.id) : [],
        decided: await github.approvals(repository, run.id),
      })),
    )
    return {
      type: 'approvalSeen',
      pending: found.flatMap(({ pending }) => pending),
      decided: found.flatMap(({ decided }) => decided).filter(({ state }) => state !== 'pending'),
    }
  } catch {
    return null
  }
}

/** Time between the first cancellation request and a forced cancellation, if the run hasn't finished. */
const FORCE_AFTER_MS = 120_000
const LOOK_MS = 3_000

/**
 * Cancels a delivery's runs, then once by force. `now`: milliseconds since 1970.
 *
 * @returns null if nothing was canceled. A later poll tries again unless the credential lacks the permission.
 */
export async function cancelRuns(
  { repository, cancelSentAt, cancelForced }: Delivery,
  runs: readonly DeliveryRun[],
  { github, now }: { github: Pick<GitHub, 'cancelRun' | 'forceCancelRun'>; now: number },
): Promise<DeliveryEvent | null> {
  const forced = cancelSentAt !== null
  if (forced && (cancelForced || now < cancelSentAt + FORCE_AFTER_MS)) return null
  const send = forced ? github.forceCancelRun : github.cancelRun
  let sent = false
  for (const run of runs) {
    try {
      if ((await send(repository, run.id)) === 'accepted') sent = true
    } catch (error) {
      const failure = readFailure(error, { repository, now, tries: 0, permission: 'Actions: write' })
      if (failure.kind === 'forbidden' && failure.permission && !sent) {
        return { type: 'cancelRejected', reason: failure.reason, pollAt: now + LOOK_MS }
      }
    }
  }
  return sent ? { type: 'cancelSent', forced, pollAt: now + LOOK_MS } : null
}
