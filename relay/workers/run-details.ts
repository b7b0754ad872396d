import type { RequestError } from '@octokit/request-error'
import { type Annotation, annotationLines } from '../../port/annotations.ts'
import { cleanText } from '../../port/text.ts'
import type { LogLine } from '../../port/types.ts'
import type { Delivery, DeliveryRun, Wait } from '../delivery/delivery.ts'
import type { DeliveryEvent, JobsFound } from '../delivery/events.ts'
import { actionsPage, failedStep } from '../delivery/outcome.ts'
import type { GitHub } from '../github/client.ts'
import { isProtection, PROTECTION_HINT, readFailure } from '../github/errors.ts'
import { cleanLog, type Job, type JobReader } from '../github/jobs.ts'
import type { RequestBudget } from '../github/rate-limit-pause.ts'
import { findResponse, readMessage } from '../github/response.ts'
import { LOCKFILE, type WorkflowFileReader } from '../github/workflow-files.ts'

/** The maximum number of job logs to fetch. For further failed jobs, Port's log shows only the names. */
const MAX_LOGS = 5
const MAX_NAMED = 50
const BLOCKED: LogLine = { level: 'ERROR', message: `What to change: ${PROTECTION_HINT}.` }
const LOCKED: LogLine = {
  level: 'ERROR',
  message: `The repository has the workflow lockfile ${LOCKFILE}. GitHub starts a workflow only if the lockfile lists all its actions: run "gh actions-lock", and commit the file.`,
}
const MAX_ANNOTATION = 1_000
/** If more jobs than this failed, the relay doesn't run them again, because reading the annotations costs a request for each job. */
const MAX_LOST = 20
const LOST = /lost communication|shutdown signal/i
/** The conclusions of jobs that never started or were stopped, for example because another job failed. */
const STOPPED: (string | null)[] = ['cancelled', 'neutral', null]
/** Reading job logs leaves this many requests in the budget, for the results of other runs. */
const LEFT_BY_LOGS = 9

/**
 * Reads the jobs of a failed run. Never throws: if a read fails, a line for Port's log says so.
 *
 * @param run.mayRerun whether the relay may run the failed jobs again, if all of them lost their runners
 * @param isReported whether the action has reported a job. The relay doesn't read that job's log, because only the
 *   action could redact it.
 * @returns null if the request budget is used up
 */
export async function findFailedJobs(
  repository: string,
  run: Pick<DeliveryRun, 'id' | 'attempt' | 'conclusion'> & { mayRerun: boolean },
  isReported: (job: Job) => boolean,
  deps: { github: JobReader & Pick<WorkflowFileReader, 'workflowFile'>; budget: RequestBudget; now: number },
): Promise<JobsFound | null> {
  const { github, budget, now } = deps
  if (!budget.take(run.mayRerun ? 2 : 1)) return null
  let found: Awaited<ReturnType<JobReader['jobs']>>
  try {
    found = await github.jobs(repository, run.id, run.attempt)
  } catch {
    const message = "The relay couldn't read the failed jobs from GitHub. The run on GitHub shows them."
    return { jobs: null, lost: [], lines: [{ level: 'WARN', message }] }
  }
  const { jobs, total } = found
  const isBad = (job: Job) => job.conclusion !== 'success' && job.conclusion !== 'skipped'
  const bad = jobs.filter(job => isBad(job) && !isReported(job))
  const isRead = (job: Job, i: number) => i < MAX_LOGS && job.conclusion === 'failure'
  const failed = jobs.filter(job => isBad(job) && !STOPPED.includes(job.conclusion))
  const mayBeLost =
    run.mayRerun && total <= jobs.length && failed.length <= MAX_LOST && failed.every(job => !failedStep(job))
  const unread: LogLine[] = []
  const read = new Map(
    await Promise.all(
      [...new Set([...bad.filter(isRead), ...(mayBeLost ? failed : [])])].map(
        async job => [job, await readAnnotations(job)] as const,
      ),
    ),
  )
  const isLost = (job: Job) => read.get(job)?.some(({ message }) => LOST.test(message)) === true
  const lost = mayBeLost && failed.every(isLost) ? failed : []
  const annotations = bad.filter(isRead).flatMap(job => read.get(job) ?? [])
  const logs = await Promise.all(
    bad.map((job, i) => (isRead(job, i) && lost.length === 0 ? readLog(job) : null)),
  )
  const shown = annotationLines(annotations, text =>
    cleanText(text.replaceAll(/\*{3,}/g, '[masked]'), MAX_ANNOTATION),
  )
  const lines = bad
    .slice(0, MAX_NAMED)
    .flatMap((job, i): LogLine[] => [{ level: 'ERROR', message: describe(job) }, ...(logs[i] ?? [])])
  const isBlocked = annotations.some(({ message }) => isProtection(message))
  const isUnstarted = run.conclusion !== 'cancelled' && !jobs.some(job => job.started)
  const causes = [...(isBlocked ? [BLOCKED] : []), ...(isUnstarted ? await findLockfile() : [])]
  lines.unshift(...unread.slice(0, 1), ...shown, ...causes)
  const unnamed = bad.length - MAX_NAMED + (total - jobs.length)
  if (unnamed > 0 && bad.length > 0) {
    const message = 'The run has more jobs than this log shows; the run on GitHub shows all jobs.'
    lines.push({ level: 'WARN', message })
  }
  return { jobs, lost, lines }

  async function findLockfile(): Promise<LogLine[]> {
    if (!budget.take()) return []
    return github.workflowFile(repository, LOCKFILE).then(
      () => [LOCKED],
      () => [],
    )
  }

  /** Reads a job's annotations. Returns an empty list if the permission is missing or GitHub fails. */
  async function readAnnotations(job: Job): Promise<Annotation[]> {
    if (!mayBeLost && !budget.take(1, LEFT_BY_LOGS)) return []
    try {
      return await github.annotations(repository, job.id)
    } catch (error) {
      const failure = readFailure(error, { repository, now, tries: 0, permission: 'Checks: read' })
      const isToken = /by personal access token/i.test(readMessage(findResponse(error)?.data))
      const reason = isToken
        ? "a fine-grained token can't have the permission Checks: read. Use a GitHub App"
        : failure.reason
      const message = `The relay can't see whether job "${job.name}" lost its runner: ${reason}. So the relay doesn't run the job again.`
      if (mayBeLost) unread.push({ level: 'WARN', message })
      return []
    }
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

/** Returns what a queued run waits for. Also reads the jobs, because the run's status doesn't show everything that a job can wait for. */
export async function readWait(
  repository: string,
  { run, cause }: { run: DeliveryRun; cause: 'runner' | 'concurrency' },
  { github, budget }: { github: Pick<GitHub, 'jobs' | 'blockingRun' | 'serverUrl'>; budget: RequestBudget },
): Promise<Wait> {
  const read = async () => {
    if (cause === 'concurrency') {
      const blocking = await github.blockingRun(repository, run.id)
      return blocking ? `${actionsPage(github.serverUrl, repository)}/runs/${blocking}` : ''
    }
    const { jobs } = await github.jobs(repository, run.id, run.attempt)
    return cleanText([...new Set(jobs.flatMap(job => job.awaitedLabels ?? []))].join(', '))
  }
  const mayRead = budget.take(cause === 'runner' ? 1 : 2)
  return { cause, reason: mayRead ? await read().catch(() => '') : '', until: null }
}

/** Reads the approvals of a run. @returns null if GitHub doesn't return them, for example because the permission is missing */
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

/** Matches the texts of a 403 that mean a missing permission. @see https://docs.github.com/rest/overview/troubleshooting-the-rest-api */
const LACKS_PERMISSION = /^(Resource not accessible by|Must have admin rights)/i

/**
 * Asks GitHub to run the failed jobs again.
 * @returns why GitHub refused; null if GitHub accepted, if its response is unknown, or if a user has already re-run the run
 */
export async function rerunFailedJobs(
  repository: string,
  run: DeliveryRun,
  { github, now, maySend }: { github: Pick<GitHub, 'rerunFailedJobs'>; now: number; maySend: () => boolean },
): Promise<LogLine | null> {
  try {
    await github.rerunFailedJobs(repository, run.id, maySend)
    return null
  } catch (error) {
    const failure = readFailure(error, { repository, now, tries: 0, permission: 'Actions: write' })
    const { status, response } = error as RequestError
    const text = readMessage(response?.data)
    if (/already running/i.test(text)) return null
    // GitHub also responds with 403 if a rate limit is exceeded, or the run is too old.
    const isQuoted = failure.kind === 'forbidden' && status === 403 && !LACKS_PERMISSION.test(text)
    const reason = isQuoted ? `GitHub refuses it (403: ${text})` : failure.reason
    const isRefused = failure.kind === 'forbidden' || [403, 429].includes(status)
    return isRefused ? { level: 'WARN', message: `The failed jobs can't be run again: ${reason}.` } : null
  }
}

/** If a run is unfinished this long after the first cancellation request, the relay forces the cancellation. */
const FORCE_AFTER_MS = 120_000
const LOOK_MS = 3_000

/**
 * Cancels a delivery's workflow runs. If they don't finish, forces the cancellation once.
 * @returns null if no run was canceled; then the next poll tries again
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
