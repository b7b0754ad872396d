import type { PortError } from '../../port/client/client.ts'
import { logBatches } from '../../port/client/run-bodies.ts'
import { backOff } from '../../port/retry.ts'
import type { JsonObject, LogLine, RunUpdate } from '../../port/types.ts'
import { allOutputs, linksOf, outputOf } from '../reporter/reporter.ts'
import { keepMarks, linesBefore, markAt, nextMark, readLogFile, sizeOf, takeMasks } from '../runner/files.ts'
import { createStepLister, isForbidden, type ListedStep, retryAtOf } from '../runner/jobs.ts'
import { describeMistake } from '../runner/runner.ts'
import type { Redact } from '../secrets/redact.ts'
import { readEntities, splitDocuments } from '../steps/entities.ts'
import { readRunFile } from '../steps/run.ts'
import { errorLine, sendEntity } from '../steps/send.ts'
import { type FollowedJob, type Following, isAlive, type ProgressFolder } from './process.ts'

const POLL_EVERY_MS = 2_000
/** The maximum pause between requests, even if a service requests a longer one. Node would fire a timer of more than 24 days immediately. */
const LONGEST_PAUSE_MS = 3_600_000

/**
 * Until `stopping` is aborted, shows the running step in Port, and sends the steps' log lines and entities. Never
 * throws. After an error, post sends the remaining lines and entities.
 */
export async function followJob(
  job: FollowedJob,
  given: Pick<Following, 'run' | 'folder' | 'masks' | 'fetch' | 'clock' | 'sleep' | 'stopping'>,
): Promise<void> {
  const { clock, stopping } = given
  let pausedUntil = 0
  /** The number of bytes of `$PORT_LOG` that were searched for masks. */
  let scanned = 0
  const soon = (at: number) => Math.min(at, clock() + LONGEST_PAUSE_MS)
  const following: Following = {
    ...given,
    job,
    soon,
    pausedUntil: () => pausedUntil,
    readMasks() {
      if (sizeOf(job.files.log) < scanned) scanned = 0
      for (;;) {
        const lines = readLogFile(job.files.log, scanned)
        if (lines.length === 0) return
        scanned = lines.at(-1)!.end
        given.masks.add(takeMasks(lines, toText).masks)
      }
    },
    failure(error) {
      if (error.temporary) pausedUntil = Math.max(pausedUntil, soon(error.retryAt ?? clock() + 5_000))
      else if (error.kind !== 'refused') stopping.abort()
    },
    async send(operation) {
      try {
        await operation()
        return null
      } catch (error) {
        following.failure(error as PortError)
        return error as PortError
      }
    },
  }
  const label = followLabel(following)
  const polls = [followLog(following), label.poll, followEntities(following)]
  await Promise.all([followFiles(), label.followSteps()])

  /** Sends updates one at a time, so that they reach Port in order. */
  async function followFiles(): Promise<void> {
    for (;;) {
      await given.sleep(Math.max(POLL_EVERY_MS, pausedUntil - clock()))
      for (const poll of polls) {
        if (stopping.signal.aborted) return
        // If no later poll succeeds, post reports the error.
        await poll().catch(() => {})
      }
    }
  }
}

/** Returns a function that sends new entities in order. A document is complete if text follows it, or if the file hasn't grown since the previous poll. */
function followEntities(following: Following): () => Promise<void> {
  const { job, run, folder, masks, clock, stopping, send } = following
  const file = job.files.entities
  let size = 0
  let linesRefused = false
  return async () => {
    await sendNew()
    await sendLines()
  }

  async function sendNew(): Promise<void> {
    const state = folder.entities()
    const mark = nextMark(file, state)
    if (mark.offset !== state.offset) folder.setEntities({ ...state, ...mark, done: 0 })
    const before = size
    size = sizeOf(file)
    if (size <= mark.offset) return
    const lines = readLogFile(file, mark.offset)
    following.readMasks()
    // The last document is complete only if the file isn't larger than a chunk, and the last line has a newline.
    const settled = size === before && lines.at(-1)?.end === size
    const documents = splitDocuments(lines, { settled })
    for (const document of documents) {
      const { entities, mistakes } = await readEntities(document.text, document.line)
      if (mistakes.length > 0) {
        // A step may still be writing the document.
        if (!document.closed) return
        const before = linesBefore(file, mark.offset)
        for (const { line, ...mistake } of mistakes) {
          const counted = { ...mistake, line: line === null ? null : before + line }
          const problem = describeMistake(counted, '$PORT_ENTITIES', masks.redact)
          report({ line: errorLine(problem), problem })
        }
      } else {
        for (let index = folder.entities().done; index < entities.length; index++) {
          if (stopping.signal.aborted || clock() < following.pausedUntil()) return
          const result = await sendEntity(entities[index]!, run)
          if (result.error) following.failure(result.error)
          if (result.error?.temporary || stopping.signal.aborted) return
          report(result)
          folder.setEntities({ ...folder.entities(), done: index + 1 })
        }
      }
      folder.setEntities({ ...folder.entities(), ...markAt(file, document.end), done: 0 })
    }
  }

  function report(result: { line: LogLine; problem: string | null }): void {
    const { lines, problems, ...rest } = folder.entities()
    folder.setEntities({
      ...rest,
      lines: [...lines, result.line],
      problems: result.problem === null ? problems : [...problems, result.problem],
    })
  }

  async function sendLines(): Promise<void> {
    const state = folder.entities()
    if (linesRefused || state.lines.length === 0 || clock() < following.pausedUntil()) return
    // The mark is saved before the request. Otherwise, lines could appear in Port twice if this process is killed during the request.
    folder.setEntities({ ...state, lines: [] })
    const error = await send(() => run.log(state.lines))
    linesRefused = error?.kind === 'refused'
    if (error) folder.setEntities({ ...folder.entities(), lines: state.lines.slice(error.linesSent) })
  }
}

/** The maximum number of log requests per minute. It is low, because all jobs of a Port organization share Port's rate limit. */
const MOST_A_MINUTE = 30
/** The maximum bytes of log per request, to limit this process's memory. */
const PIECE = 250_000

/**
 * Returns a function that sends each log line at most once. Lines are marked as sent before the request, and unmarked
 * only if Port certainly didn't accept them. If a response is lost, post says how many lines may be missing in Port.
 */
function followLog(following: Following): () => Promise<void> {
  const { job, run, folder, masks, clock, stopping, send } = following
  const file = job.files.log
  /** When log requests were sent within the last minute, in milliseconds since 1970. */
  const requests: number[] = []
  let refused = false
  return async () => {
    while (!refused && (await sendLines())) if (stopping.signal.aborted) return
  }

  /** Sends one batch. Returns false if there is nothing else to send now. */
  async function sendLines(): Promise<boolean> {
    while (requests.length > 0 && requests[0]! <= clock() - 60_000) requests.shift()
    if (requests.length >= MOST_A_MINUTE) return false
    const sent = folder.sent()
    const before = { ...nextMark(file, sent), lost: sent.lost }
    if (before.offset === 0) folder.setSent(before)
    const found = readLogFile(file, before.offset, PIECE)
    const count = logBatches(found.map(toLine))[0]?.length ?? 0
    if (count === 0) return false
    const taken = takeMasks(found.slice(0, count), toText)
    if (taken.masks.length > 0) {
      folder.setMasks([...folder.masks(), ...taken.masks])
      masks.add(taken.masks)
    }
    const lines = taken.lines.filter(({ text }) => text.trim() !== '')
    const { end } = found[count - 1]!
    // The position is read before the request, because a step may rewrite the file during the request.
    const markAt = keepMarks(file, before.offset, end)
    const after = markAt(end)
    folder.setSent({ ...after, lost: before.lost + lines.length })
    if (lines.length === 0) return count < found.length
    requests.push(clock())
    const error = await send(() => run.log(lines.map(toLine)))
    if (!error) {
      folder.setSent({ ...after, lost: 0 })
      return count < found.length
    }
    // If Port refused the lines, post sends them again, and reports the error.
    refused = error.kind === 'refused'
    const last = refused ? undefined : lines[error.linesSent - 1]
    // If no line was sent, for example because there is no token, Port also lacks the notice about earlier lost lines.
    const lost = error.linesSent > 0 ? error.linesLost : Math.max(before.lost, error.linesLost)
    folder.setSent({ ...(last ? markAt(last.end) : before), lost })
    return false
  }
}

const toText = ({ text }: { text: string }) => text
const toLine = ({ text }: { text: string }): LogLine => ({ level: 'INFO', message: text })

/** GitHub runs no job for longer than five days. */
const LONGEST_LIFE_MS = 5 * 24 * 3_600_000

/** Returns `stopping`, which is aborted when post requests a stop, the job's temporary files are gone, or the process `worker` exits. */
export function waitForStop(folder: Pick<ProgressFolder, 'stopped'>, worker: number) {
  const stopping = new AbortController()
  const poll = () => {
    if (folder.stopped() || (worker > 0 && !isAlive(worker))) stopping.abort()
  }
  const timers = [setInterval(poll, 100), setTimeout(() => stopping.abort(), LONGEST_LIFE_MS)]
  poll()
  return { stopping, close: () => timers.forEach(clearTimeout) }
}

const LONGEST_NAME = 80
const LONGEST_POLL_MS = 300_000

/** Shows the running step, or the label in `$PORT_RUN`. Sends the links and outputs in `$PORT_RUN`. */
function followLabel(following: Following): { poll: () => Promise<void>; followSteps: () => Promise<void> } {
  const { job, run, masks, readMasks, fetch, clock, sleep, stopping, send, soon } = following
  const started = clock()
  let own: { label: string; links: string[]; outputs: JsonObject } = { label: '', links: [], outputs: {} }
  let step = job.statusLabel
  let shown = JSON.stringify([step, own.links, own.outputs])
  return { poll, followSteps: async () => void (job.github && (await followSteps(job.github))) }

  async function show(): Promise<void> {
    const label = own.label || step
    const state = JSON.stringify([label, own.links, own.outputs])
    if (state === shown || clock() < following.pausedUntil()) return
    const before = shown
    // The label is stored before the request, so that a concurrent poll doesn't send the same update.
    shown = state
    const error = await send(() => run.update(updateOf(label)))
    if (error?.temporary && shown === state) shown = before
  }

  // An update of a node run must repeat its links, because Port removes missing links.
  function updateOf(statusLabel: string): RunUpdate {
    return {
      statusLabel,
      link: linksOf(job.workflow.url, own.links, job.kind),
      externalRunId: job.workflow.runId,
      ...outputOf(job.kind, allOutputs(own.outputs, job.needsOutputs, masks.redact).outputs),
    }
  }

  async function poll(): Promise<void> {
    const { statusLabel, links, outputs } = readRunFile(job.files.run, { final: false })
    readMasks()
    own = { label: statusLabel, links, outputs: job.kind === 'node_run' ? outputs : {} }
    await show()
  }

  async function followSteps(github: NonNullable<FollowedJob['github']>): Promise<void> {
    const list = createStepLister(job.workflow, github, { fetch, clock })
    let limitedUntil = 0
    for (let failures = 0; ; ) {
      const pause = backOff(failures, pollAfter(clock() - started), LONGEST_POLL_MS)
      await sleep(Math.max(pause, limitedUntil - clock()))
      if (stopping.signal.aborted) return
      try {
        const steps = (await list())?.steps.filter(each => each.authors) ?? []
        failures = 0
        step = describeRunning(steps, masks.redact) ?? step
        await show()
      } catch (error) {
        if (isForbidden(error)) return
        failures++
        limitedUntil = soon(retryAtOf(error) ?? 0)
      }
    }
  }
}

/**
 * Returns the pause before the next request to GitHub, in milliseconds. It grows with the job's age, because all jobs
 * of a repository share a limit of 1,000 requests per hour.
 * @see https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
 */
function pollAfter(age: number): number {
  if (age < 600_000) return Math.min(Math.max(1_500, age / 10), 10_000)
  return age < 3_600_000 ? 20_000 : 60_000
}

/** Returns a label such as `Build image (3/7)`; null if no step of the author is running. */
function describeRunning(steps: ListedStep[], redact: Redact): string | null {
  const started = steps.findLastIndex(({ status }) => status === 'completed' || status === 'in_progress')
  // GitHub reports a new step late, so the step after the last completed one counts as running. Earlier steps can still run in the background.
  const next = steps[started]?.status === 'in_progress' ? started : started + 1
  const index = next < steps.length ? next : steps.findLastIndex(({ status }) => status === 'in_progress')
  if (index < 0) return null
  const name = redact(steps[index]!.name)
  const short = name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1).toWellFormed()}…` : name
  return `${short} (${index + 1}/${steps.length})`
}
