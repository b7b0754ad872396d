import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, parse } from 'node:path'
import type { PortError, Token } from '../../port/client/client.ts'
import type { JsonObject, LogLine } from '../../port/types.ts'
import type { Reporter } from '../reporter/reporter.ts'
import type { JobFiles } from '../runner/files.ts'
import type { RelayAccess } from '../runner/payload.ts'
import type { Runner, Workflow } from '../runner/runner.ts'
import type { Masks } from '../secrets/masks.ts'
import { type LogMark, START } from '../steps/log.ts'

/**
 * What main, the progress reporter and post share: a folder next to the log file.
 *
 * - `pid`: the progress reporter's, for as long as it runs
 * - `born`: when it started, since its pid may be another process's by now
 * - `sent`: how far Port has the log file, and how many lines it may not have
 * - `entities`: how far Port has those of `$PORT_ENTITIES`
 * - `masks`: what lines `::add-mask::` have named
 * - `stop`: post asks the progress reporter to stop
 */
export interface ProgressFolder {
  path: string
  open(pid: number): void
  /** The progress reporter's; 0 once it is done. */
  pid(): number
  /** Whether the process of that pid is the progress reporter, and runs; 'unknown' if the system does not show when a process started. */
  isItself(pid: number): boolean | 'unknown'
  done(): void
  sent(): Sent
  setSent(sent: Sent): void
  entities(): EntitiesSent
  setEntities(sent: EntitiesSent): void
  /** What `::add-mask::` lines of the log have named. */
  masks(): string[]
  setMasks(masks: string[]): void
  stop(): void
  /** Whether the progress reporter should stop: post asks for it, or the job's temporary files are gone. */
  stopped(): boolean
  remove(): void
}

/** What the progress reporter has sent of the log file. */
interface Sent extends LogMark {
  /** Lines before the mark that Port may not have, nor a line that says so. */
  lost: number
}

export const NOTHING_SENT: Sent = { ...START, lost: 0 }

/** What the progress reporter has sent of `$PORT_ENTITIES`. */
export interface EntitiesSent extends LogMark {
  /** How many entities of the document at the mark are done. */
  done: number
  /** What became of entities, as far as Port's log does not show it. */
  lines: LogLine[]
  /** A sentence for each entity that was refused. */
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
  // A process that is killed while writing leaves the old content, not half of the new one.
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

/** What the progress reporter is given at its start. */
export interface FollowedJob {
  runId: string
  kind: 'action_run' | 'node_run'
  credentials: { portApiUrl: string; portClientId: string; portClientSecret: string }
  /** As main got it. */
  portToken: Token | null
  /** The way to Port if there are no credentials. */
  relay: RelayAccess | null
  /** Clear texts that must not reach Port. */
  secrets: string[]
  workflow: Workflow
  /** What main has set. */
  statusLabel: string
  /** The outputs of the jobs before this one. */
  needsOutputs: JsonObject
  files: JobFiles
  /** Null if the label is the author's: then GitHub is not asked. */
  github: { token: string; checkRunId: string | null } | null
  /** The process that exits when the job finishes; 0 if it can't be known, as in a container. */
  worker: number
}

/** What the followers of one job share. */
export interface Following extends Pick<Runner, 'fetch' | 'clock'> {
  job: FollowedJob
  run: Pick<Reporter, 'update' | 'log' | 'upsertEntity' | 'deleteEntity' | 'isDeferred'>
  folder: Pick<ProgressFolder, 'sent' | 'setSent' | 'entities' | 'setEntities' | 'masks' | 'setMasks'>
  masks: Masks
  /** Returns early when `stopping` is aborted. */
  sleep: (ms: number) => Promise<unknown>
  stopping: AbortController
  /** When Port may be asked again, ms since the epoch. */
  pausedUntil(): number
  /** Pauses the reports until Port may accept them, or stops them if it never will. */
  failure(error: PortError): void
  /** Sends something to Port; an error is returned, not thrown, after `failure`. */
  send(operation: () => Promise<void>): Promise<PortError | null>
  /** At most an hour away. */
  soon(at: number): number
}

/** It does little, and lives as long as the job: V8 spends time on it rather than memory (145 MB without them). */
const SMALL = ['--lite-mode', '--max-semi-space-size=1']

/**
 * Starts the progress reporter that shows the running step and new log lines while the job runs. It outlives main, and
 * post stops it, and it stops with the job in any case.
 *
 * Keys go to it by its standard input: neither arguments nor files nor its environment, which other processes of
 * the machine can read, hold them. It keeps RUNNER_TRACKING_ID, so that the runner stops it with the job should all
 * else fail, and gives up the working directory, which Windows could not remove otherwise.
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
  // Without it, only the live updates are missing.
  child.on('error', () => {})
  child.stdin.on('error', () => {})
  child.stdin.end(JSON.stringify(job))
  child.unref()
  if (child.pid !== undefined) folder.open(child.pid)
}

/** A request under way takes 10 s at most. */
const PATIENCE_MS = 12_000
/** A process that is killed is gone at once, if it can be killed. */
const KILL_MS = 1_000

/** What the progress reporter has done by the time it stops. */
export interface Progress {
  log: Sent
  entities: EntitiesSent
  masks: string[]
}

/**
 * Stops the progress reporter once what it was sending is sent. One that doesn't stop is killed if the process is certainly
 * the progress reporter; otherwise it is left, and Port rejects what it sends after the final status.
 *
 * @returns what it has sent
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

/** Whether a process runs. One that has exited and hasn't been waited for (a container's first process may not do that) doesn't. */
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
 * When a process started, in a unit of the system's own: two processes of one pid differ in it. Null for a process that
 * has exited, and without /proc.
 *
 * @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html (field 22)
 */
export function birthOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name of the program, in brackets, may hold anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!
  } catch {
    return null
  }
}

/**
 * The process that exits when the job finishes; 0 if it can't be known: in a container main's
 * parent isn't a process of the runner, and what runs there stops with the container.
 */
export function findWorker(tempFolder: string): number {
  return tempFolder.startsWith('/__w/') ? 0 : process.ppid
}
