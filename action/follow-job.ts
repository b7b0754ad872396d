import type { LogLine, PortRun, RunUpdate } from '../port/client.ts'
import { PortError } from '../port/client.ts'
import { logBatches } from '../port/log-batches.ts'
import { createStepLister, type ListedStep, mayNotRead } from './list-steps.ts'
import { readLogFile } from './log-file.ts'
import type { ProgressFolder } from './progress-folder.ts'
import type { RelayAccess } from './relay-reporter.ts'
import type { Runner, Workflow } from './runner.ts'

/** What the companion is told at its start. */
export interface FollowedJob {
  runId: string
  credentials: { portApiUrl: string; portClientId: string; portClientSecret: string }
  /** The way to Port where there are no credentials. */
  relay: RelayAccess | null
  /** Clear texts that must not reach Port. */
  secrets: string[]
  workflow: Workflow
  logFile: string
  /** Null where the label is the author's: then GitHub is not asked. */
  github: { token: string; checkRunId: string | null } | null
  /** The process whose end is the job's; 0 where that cannot be known, as in a container. */
  worker: number
}

const LOG_EVERY_MS = 2_000
const LONGEST_NAME = 80

/**
 * Shows in Port the step that runs, and new lines of the log file, until `ended`. A request under way is finished
 * first. It never throws: what it does not manage is left to post.
 *
 * Lines count as sent from before the request on, unless Port refuses it: killed at that moment, a line may be
 * missing, but is never there twice.
 */
export async function followJob(
  job: FollowedJob,
  run: Pick<PortRun, 'update' | 'log'>,
  folder: Pick<ProgressFolder, 'sent' | 'setSent'>,
  {
    fetch,
    clock,
    sleep,
    ended,
  }: Pick<Runner, 'fetch' | 'clock'> & {
    /** Also ends when `ended` does. */
    sleep: (ms: number) => Promise<unknown>
    ended: AbortController
  },
): Promise<void> {
  const started = clock()
  let pausedUntil = 0
  await Promise.all([followLog(), job.github && followSteps(job.github)])

  async function followLog(): Promise<void> {
    for (;;) {
      await sleep(Math.max(LOG_EVERY_MS, pausedUntil - clock()))
      if (ended.signal.aborted) return
      while (await sendLines()) if (ended.signal.aborted) return
    }
  }

  /** One batch; false where there is no other to send now. */
  async function sendLines(): Promise<boolean> {
    const offset = folder.sent()
    const found = readLogFile(job.logFile, offset, false)
    const lines = found.map(({ text }): LogLine => ({ level: 'INFO', message: text }))
    const count = logBatches(lines)[0]?.length ?? 0
    if (count === 0) return false
    folder.setSent(found[count - 1]!.end)
    const told = lines.slice(0, count).filter(line => line.message.trim() !== '')
    if (told.length === 0 || (await tell(() => run.log(told)))) return count < lines.length
    folder.setSent(offset)
    return false
  }

  async function followSteps(options: NonNullable<FollowedJob['github']>): Promise<void> {
    const list = createStepLister(job.workflow, options, fetch)
    let label = ''
    for (let failures = 0; ; ) {
      await sleep(askAgainAfter(clock() - started) * 2 ** failures)
      if (ended.signal.aborted) return
      try {
        const steps = (await list())?.filter(step => step.authors) ?? []
        failures = 0
        const now = describeRunning(steps)
        if (now === null || now === label || clock() < pausedUntil) continue
        if (await tell(() => run.update(labelled(now)))) label = now
      } catch (error) {
        if (mayNotRead(error)) return
        failures = Math.min(failures + 1, 5)
      }
    }
  }

  // A node run's link is replaced with each call.
  function labelled(statusLabel: string): RunUpdate {
    return {
      statusLabel,
      link: [job.workflow.url],
      externalRunId: job.workflow.runId,
    }
  }

  async function tell(operation: () => Promise<void>): Promise<boolean> {
    try {
      await operation()
      return true
    } catch (error) {
      if (!(error instanceof PortError) || !error.temporary) ended.abort()
      else pausedUntil = Math.max(pausedUntil, error.retryAt ?? clock() + 5_000)
      return false
    }
  }
}

/**
 * How long until GitHub is asked again, in ms: a job's token has 1,000 requests an hour for its whole repository, so
 * the longer a job runs, the rarer.
 *
 * @see https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
 */
export function askAgainAfter(age: number): number {
  if (age < 600_000) return Math.min(Math.max(1_500, age / 10), 10_000)
  return age < 3_600_000 ? 20_000 : 60_000
}

/** `Build image (3/7)`; null where no step of the author's runs. */
export function describeRunning(steps: ListedStep[]): string | null {
  // GitHub may not yet show the step that has just begun as running: it is the first that has not ended.
  const index = steps.findIndex(step => step.status !== 'completed')
  if (index < 0) return null
  const { name } = steps[index]!
  const short = name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1).toWellFormed()}…` : name
  return `${short} (${index + 1}/${steps.length})`
}
