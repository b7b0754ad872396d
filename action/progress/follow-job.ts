import { logBatches } from '../../port/client/log-batches.ts'
import type { PortError } from '../../port/client/port-client.ts'
import type { LogLine, RunUpdate } from '../../port/types.ts'
import type { Reporter } from '../report/reporter-contract.ts'
import { createStepLister, isForbidden, type ListedStep, retryAtOf } from '../runner/list-steps.ts'
import { keepMarks, nextMark, readLogFile } from '../runner/log-file.ts'
import type { RelayAccess } from '../runner/relay-access.ts'
import type { Runner, Workflow } from '../runner/runner.ts'
import { createRedact, type Redact } from '../secrets/redact.ts'
import type { ProgressFolder } from './progress-folder.ts'

/** What the progress reporter is given at its start. */
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
/** Requests with lines; Port's limit is one for the whole organisation. A job that logs all the time needs no more. */
const MOST_A_MINUTE = 30
/** However far away a service wants to be asked again: a timer of more than 24 days would fire at once. */
const LONGEST_PAUSE_MS = 3_600_000
const LONGEST_NAME = 80

/**
 * Shows in Port the step that runs, and new lines of the log file, until `ended`. A request under way is finished
 * first. It never throws: what it does not manage is left to post.
 *
 * Lines count as sent from before the request on, unless Port has surely not taken it: when this is killed at that
 * moment, or the answer gets lost, a line may be missing, but is never there twice. How many may be is left to post.
 */
export async function followJob(
  job: FollowedJob,
  run: Pick<Reporter, 'update' | 'log'>,
  folder: Pick<ProgressFolder, 'sent' | 'setSent'>,
  {
    clock,
    sleep,
    ended,
  }: Pick<Runner, 'clock'> & {
    /** Also ends when `ended` does. */
    sleep: (ms: number) => Promise<unknown>
    ended: AbortController
  },
): Promise<void> {
  const started = clock()
  let pausedUntil = 0
  /** When lines were sent, in the last minute. */
  const requests: number[] = []
  let linesRefused = false
  await Promise.all([followLog(), job.github && followSteps(job.github)])

  async function followLog(): Promise<void> {
    while (!linesRefused) {
      await sleep(Math.max(LOG_EVERY_MS, pausedUntil - clock()))
      if (ended.signal.aborted) return
      // A file that cannot be read or written to now may be later; else post reports it.
      while (await sendLines().catch(() => false)) if (ended.signal.aborted) return
    }
  }

  /** One batch; false where there is no other to send now. */
  async function sendLines(): Promise<boolean> {
    while (requests.length > 0 && requests[0]! <= clock() - 60_000) requests.shift()
    if (requests.length >= MOST_A_MINUTE) return false
    const sent = folder.sent()
    const before = { ...nextMark(job.logFile, sent), lost: sent.lost }
    if (before.offset === 0) folder.setSent(before)
    const found = readLogFile(job.logFile, before.offset)
    const count = logBatches(found.map(toLine))[0]?.length ?? 0
    if (count === 0) return false
    const lines = found.slice(0, count).filter(({ text }) => text.trim() !== '')
    const { end } = found[count - 1]!
    // Now, since the file may be written anew while the request is under way.
    const markAt = keepMarks(job.logFile, before.offset, end)
    const after = markAt(end)
    folder.setSent({ ...after, lost: before.lost + lines.length })
    if (lines.length === 0) return count < found.length
    requests.push(clock())
    const error = await send(() => run.log(lines.map(toLine)))
    if (!error) {
      folder.setSent({ ...after, lost: 0 })
      return count < found.length
    }
    // Post reports what Port refuses, with the reason.
    linesRefused = error.kind === 'refused'
    const last = linesRefused ? undefined : lines[error.linesSent - 1]
    // Where nothing was sent, as without a token, nor was the line that counts those lost before.
    const lost = error.linesSent > 0 ? error.linesLost : Math.max(before.lost, error.linesLost)
    folder.setSent({ ...(last ? markAt(last.end) : before), lost })
    return false
  }

  async function followSteps(options: NonNullable<FollowedJob['github']>): Promise<void> {
    const redact = createRedact(job.secrets)
    const list = createStepLister(job.workflow, options, { clock })
    let label = ''
    let limitedUntil = 0
    for (let failures = 0; ; ) {
      await sleep(Math.max(askAgainAfter(clock() - started) * 2 ** failures, limitedUntil - clock()))
      if (ended.signal.aborted) return
      try {
        const steps = (await list())?.steps.filter(step => step.authors) ?? []
        failures = 0
        const now = describeRunning(steps, redact)
        if (now === null || now === label || clock() < pausedUntil) continue
        const error = await send(() => run.update(labelled(now)))
        if (!error?.temporary) label = now
      } catch (error) {
        if (isForbidden(error)) return
        failures = Math.min(failures + 1, 5)
        limitedUntil = soon(retryAtOf(error) ?? 0)
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

  /** Null where Port took it. */
  async function send(operation: () => Promise<void>): Promise<PortError | null> {
    try {
      await operation()
      return null
    } catch (error) {
      const trouble = error as PortError
      if (trouble.temporary) pausedUntil = Math.max(pausedUntil, soon(trouble.retryAt ?? clock() + 5_000))
      else if (trouble.kind !== 'refused') ended.abort()
      return trouble
    }
  }

  function soon(at: number): number {
    return Math.min(at, clock() + LONGEST_PAUSE_MS)
  }
}

const toLine = ({ text }: { text: string }): LogLine => ({ level: 'INFO', message: text })

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
export function describeRunning(steps: ListedStep[], redact: Redact): string | null {
  // GitHub may not yet show the step that has just begun as running: it is the first that has not ended.
  const index = steps.findIndex(step => step.status !== 'completed')
  if (index < 0) return null
  const name = redact(steps[index]!.name)
  const short = name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1).toWellFormed()}…` : name
  return `${short} (${index + 1}/${steps.length})`
}
