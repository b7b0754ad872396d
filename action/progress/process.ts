import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, parse } from 'node:path'
import type { PortError, Token } from '../../port/client/client.ts'
import type { JsonObject, LogLine } from '../../port/types.ts'
import type { Reporter } from '../reporter/reporter.ts'
import { type JobFiles, type LogMark, START } from '../runner/files.ts'
import type { RelayAccess, Runner, Workflow } from '../runner/runner.ts'
import type { Masks } from '../secrets/redact.ts'

/**
 * Files that main, the progress reporter, and post share, in a folder next to the log file.
 *
 * - `pid`: the process id of the progress reporter while it runs
 * - `born`: the progress reporter's start time, which detects another process that reuses the pid
 * - `sent`: how much of the log file was sent to Port, and how many lines Port may be missing
 * - `entities`: how much of `$PORT_ENTITIES` was sent to Port
 * - `masks`: the values in `::add-mask::` lines
 * - `stop`: exists once post has requested the progress reporter to stop
 */
export interface ProgressFolder {
  path: string
  open(pid: number): void
  /** The process id of the progress reporter; 0 after it has exited. */
  pid(): number
  /** Whether the process `pid` is the progress reporter; 'unknown' if the system doesn't show process start times. */
  isItself(pid: number): boolean | 'unknown'
  done(): void
  sent(): Sent
  setSent(sent: Sent): void
  entities(): EntitiesSent
  setEntities(sent: EntitiesSent): void
  /** The values in the log's `::add-mask::` lines. */
  masks(): string[]
  setMasks(masks: string[]): void
  stop(): void
  /** Whether the progress reporter should stop because post requests it or the job's temporary files are gone. */
  stopped(): boolean
  remove(): void
}

/** How much of the log file the progress reporter has sent. */
interface Sent extends LogMark {
  /** The number of lines before the mark that Port may be missing. No line in Port mentions this loss yet. */
  lost: number
}

export const NOTHING_SENT: Sent = { ...START, lost: 0 }

/** How much of `$PORT_ENTITIES` the progress reporter has sent. */
export interface EntitiesSent extends LogMark {
  /** The number of processed entities in the document at the mark. */
  done: number
  /** Results of entities that Port's log doesn't show yet. */
  lines: LogLine[]
  /** A message for each rejected entity. */
  problems: string[]
}

export const NO_ENTITIES_SENT: EntitiesSent = { ...START, done: 0, lines: [], problems: [] }

export function progressFolder(logFile: string): ProgressFolder {
  const path = `${logFile}.progress`
  const file = (name: string) => join(path, name)
  const text = (name: string) => (existsSync(file(name)) ? readFileSync(file(name), 'utf8') : '')
  const read = <T>(name: string, otherwise: T): T => {
    const content = text(name)
    return content === '' ? otherwise : JSON.parse(content)
  }
  // If the process is killed while writing, the file keeps its old content.
  const write = (name: string, content: string) => {
    writeFileSync(file(`${name}.new`), content)
    renameSync(file(`${name}.new`), file(name))
  }
  return {
    path,
    open(pid) {
      mkdirSync(path, { recursive: true })
      write('born', birthOf(pid) ?? '')
      write('pid', String(pid))
    },
    pid: () => Number(text('pid')),
    isItself(pid) {
      const [born, now] = [text('born'), birthOf(pid)]
      return born === '' || now === null ? 'unknown' : born === now
    },
    done: () => rmSync(file('pid'), { force: true }),
    sent: () => read('sent', NOTHING_SENT),
    setSent: sent => write('sent', JSON.stringify(sent)),
    entities: () => read('entities', NO_ENTITIES_SENT),
    setEntities: sent => write('entities', JSON.stringify(sent)),
    masks: () => read('masks', []),
    setMasks: masks => write('masks', JSON.stringify(masks)),
    stop: () => writeFileSync(file('stop'), ''),
    stopped: () => existsSync(file('stop')) || !existsSync(path),
    remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }),
  }
}

/** The progress reporter's input. */
export interface FollowedJob {
  runId: string
  kind: 'action_run' | 'node_run'
  credentials: { portApiUrl: string; portClientId: string; portClientSecret: string }
  /** The Port token that main received. */
  portToken: Token | null
  /** The connection through the relay, if there are no Port credentials. */
  relay: RelayAccess | null
  /** Decrypted values to hide from Port. */
  secrets: string[]
  workflow: Workflow
  /** The label that main has set. */
  statusLabel: string
  /** The outputs of the jobs before this job. */
  needsOutputs: JsonObject
  files: JobFiles
  /** Null if the author sets the label. The progress reporter then doesn't poll GitHub. */
  github: { token: string; checkRunId: string | null } | null
  /** The id of the process that exits when the job finishes; 0 if unknown, for example in a container. */
  worker: number
}

/** State that the followers of one job share. */
export interface Following extends Pick<Runner, 'fetch' | 'clock'> {
  job: FollowedJob
  run: Pick<Reporter, 'update' | 'log' | 'upsertEntity' | 'deleteEntity' | 'isDeferred'>
  folder: Pick<ProgressFolder, 'sent' | 'setSent' | 'entities' | 'setEntities' | 'masks' | 'setMasks'>
  masks: Masks
  /** Reads masks from `$PORT_LOG`. Called after reading another file, in case a step has just masked a value. */
  readMasks(): void
  /** Returns early if `stopping` is aborted. */
  sleep: (ms: number) => Promise<unknown>
  stopping: AbortController
  /** When Port accepts the next request, in ms since the epoch. */
  pausedUntil(): number
  /** Pauses reports after a temporary error. Stops reporting if Port will never accept a report. */
  failure(error: PortError): void
  /** Sends something to Port. Passes an error to `failure` and returns the error instead of throwing it. */
  send(operation: () => Promise<void>): Promise<PortError | null>
  /** Limits a time to at most one hour from now. */
  soon(at: number): number
}

/** V8 flags that trade speed for memory (145 MB without them), because the process is mostly idle. */
const SMALL = ['--lite-mode', '--max-semi-space-size=1']

/**
 * Starts the progress reporter, which shows the running step and new log lines while the job runs. It keeps running
 * after main exits, until post stops it or the job finishes.
 *
 * It reads keys from standard input, because other processes can read its arguments, files, and environment variables.
 * It keeps RUNNER_TRACKING_ID, so that the runner can stop it with the job as a last resort. It doesn't run in the
 * job's working directory, because Windows couldn't remove that directory otherwise.
 */
export function startProgress(job: FollowedJob, script: string, env: Runner['env']): void {
  const folder = progressFolder(job.files.log)
  mkdirSync(folder.path, { recursive: true })
  const child = spawn(process.execPath, [...SMALL, script], {
    detached: true,
    windowsHide: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: parse(process.execPath).root,
    env: Object.fromEntries(
      Object.entries(env).filter(([name]) => !/^(INPUT|STATE|ACTIONS|GITHUB)_/.test(name)),
    ),
  })
  // Ignored, because only the live updates are missing then.
  child.on('error', () => {})
  child.stdin.on('error', () => {})
  child.stdin.end(JSON.stringify(job))
  child.unref()
  if (child.pid !== undefined) folder.open(child.pid)
}

/** How long to wait for the progress reporter's pending request, which takes at most 10 s. */
const PATIENCE_MS = 12_000
/** How long to wait for a killed process to exit. */
const KILL_MS = 1_000

/** The data that the progress reporter had sent when it stopped. */
export interface Progress {
  log: Sent
  entities: EntitiesSent
  masks: string[]
}

/**
 * Stops the progress reporter after its pending requests. If the process doesn't stop and is certainly the progress
 * reporter, kills it. Otherwise the process keeps running, and Port rejects its late messages.
 *
 * @returns how much the progress reporter has sent
 */
export async function stopProgress(
  logFile: string,
  { clock, sleep }: Pick<Runner, 'clock' | 'sleep'>,
): Promise<Progress> {
  const folder = progressFolder(logFile)
  if (!existsSync(folder.path)) return { log: NOTHING_SENT, entities: NO_ENTITIES_SENT, masks: [] }
  const pid = folder.pid()
  folder.stop()
  const deadline = clock() + PATIENCE_MS
  while (isAlive(pid) && folder.isItself(pid) !== false && clock() <= deadline + KILL_MS) {
    if (clock() > deadline && folder.pid() === pid && folder.isItself(pid) === true) {
      process.kill(pid, 'SIGKILL')
    }
    await sleep(5)
  }
  const progress = { log: folder.sent(), entities: folder.entities(), masks: folder.masks() }
  folder.remove()
  return progress
}

/** Whether a process runs. False for zombies, which a container's first process may never reap. */
export function isAlive(pid: number): boolean {
  if (pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return true // Not Linux.
  }
}

/**
 * Returns a process's start time in a system-specific unit. The start time distinguishes processes with the same pid.
 * Null if the process has exited, or if the system has no /proc.
 *
 * @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html (field 22)
 */
export function birthOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The program name, in parentheses, can contain any character.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!
  } catch {
    return null
  }
}

/**
 * Returns the id of the process that exits when the job finishes, or 0 if unknown. It is unknown in a container, where
 * main's parent isn't a runner process. The progress reporter stops with the container instead.
 */
export function findWorker(tempFolder: string): number {
  return tempFolder.startsWith('/__w/') ? 0 : process.ppid
}
