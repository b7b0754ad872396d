import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, parse } from 'node:path'
import type { PortError, Token } from '../../port/client/client.ts'
import type { JsonObject, LogLine } from '../../port/types.ts'
import type { Reporter } from '../reporter/reporter.ts'
import { type JobFiles, type LogMark, START } from '../runner/files.ts'
import type { RelayAccess, Runner, Workflow } from '../runner/runner.ts'
import type { Masks } from '../secrets/redact.ts'

interface Sent extends LogMark {
  /** How many lines before the mark may be missing in Port, without a notice about them in Port's log. */
  lost: number
}

const NOTHING_SENT: Sent = { ...START, lost: 0 }

export interface EntitiesSent extends LogMark {
  /** How many entities of the current document have been processed. */
  done: number
  /** Log lines about the results of entities that Port's log doesn't contain yet. */
  lines: LogLine[]
  problems: string[]
}

const NO_ENTITIES_SENT: EntitiesSent = { ...START, done: 0, lines: [], problems: [] }

export type ProgressFolder = ReturnType<typeof progressFolder>

/** Main, the progress reporter, and post share these files. */
export function progressFolder(logFile: string) {
  const path = `${logFile}.progress`
  const file = (name: string) => join(path, name)
  const text = (name: string) => (existsSync(file(name)) ? readFileSync(file(name), 'utf8') : '')
  const read = <T>(name: string, otherwise: T): T => JSON.parse(text(name) || 'null') ?? otherwise
  // Replaces the file atomically. If the process is killed during a write, the old content remains.
  const write = (name: string, content: string) => {
    writeFileSync(file(`${name}.new`), content)
    renameSync(file(`${name}.new`), file(name))
  }
  return {
    path,
    open(pid: number) {
      mkdirSync(path, { recursive: true })
      write('pid', String(pid))
    },
    /** The process id of the progress reporter; 0 after it has exited. */
    pid: () => Number(text('pid')),
    done: () => rmSync(file('pid'), { force: true }),
    /** How much of `$PORT_LOG` was sent to Port. */
    sent: () => read('sent', NOTHING_SENT),
    setSent: (sent: Sent) => write('sent', JSON.stringify(sent)),
    /** How much of `$PORT_ENTITIES` was sent to Port. */
    entities: () => read('entities', NO_ENTITIES_SENT),
    setEntities: (sent: EntitiesSent) => write('entities', JSON.stringify(sent)),
    /** The values in the log's `::add-mask::` lines. */
    masks: () => read<string[]>('masks', []),
    setMasks: (masks: string[]) => write('masks', JSON.stringify(masks)),
    stop: () => writeFileSync(file('stop'), ''),
    /** Whether post asks the progress reporter to stop, or the job's temporary files are gone. */
    stopped: () => existsSync(file('stop')) || !existsSync(path),
    remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }),
  }
}

/** The progress reporter's input. */
export interface FollowedJob {
  runId: string
  kind: 'action_run' | 'node_run'
  credentials: { portApiUrl: string; portClientId: string; portClientSecret: string }
  portToken: Token | null
  relay: RelayAccess | null
  secrets: string[]
  workflow: Workflow
  statusLabel: string
  needsOutputs: JsonObject
  files: JobFiles
  /** The settings for reading the running step from GitHub; null if the author sets the label. */
  github: { token: string; checkRunId: string | null } | null
  /** The id of the runner's process, which exits when the job finishes; 0 if unknown, for example in a container. */
  worker: number
}

/** The dependencies that the functions in `follow.ts` share. */
export interface Following extends Pick<Runner, 'fetch' | 'clock'> {
  job: FollowedJob
  run: Pick<Reporter, 'update' | 'log' | 'upsertEntity' | 'deleteEntity' | 'isDeferred'>
  folder: Pick<ProgressFolder, 'sent' | 'setSent' | 'entities' | 'setEntities' | 'masks' | 'setMasks'>
  masks: Masks
  readMasks(): void
  sleep: (ms: number) => Promise<unknown>
  stopping: AbortController
  pausedUntil(): number
  /** Pauses reports after a temporary error. Stops reporting if Port will never accept a report. */
  failure(error: PortError): void
  send(operation: () => Promise<void>): Promise<PortError | null>
  soon(at: number): number
}

/** V8 flags that save memory at the cost of speed. The process is mostly idle. */
const SMALL = ['--lite-mode', '--max-semi-space-size=1']

/**
 * Starts the progress reporter, which runs until post stops it or the job finishes. The progress reporter reads keys
 * from standard input, because other processes can read its arguments, files, and environment variables. It keeps
 * RUNNER_TRACKING_ID, so that the runner stops it when the job finishes. It runs in the root directory, because Windows
 * can't remove a process's working directory.
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
  child.on('error', () => {})
  child.stdin.on('error', () => {})
  child.stdin.end(JSON.stringify(job))
  child.unref()
  if (child.pid !== undefined) folder.open(child.pid)
}

/** How long post waits for the progress reporter, whose pending request takes at most 10 s. */
const PATIENCE_MS = 12_000

/** Stops the progress reporter, and returns what it has sent. A slow progress reporter stops later, when it notices that its folder is gone. */
export async function stopProgress(logFile: string, { clock, sleep }: Pick<Runner, 'clock' | 'sleep'>) {
  const folder = progressFolder(logFile)
  if (!existsSync(folder.path)) return NO_PROGRESS
  const pid = folder.pid()
  folder.stop()
  const deadline = clock() + PATIENCE_MS
  while (isAlive(pid) && clock() <= deadline) await sleep(5)
  const progress = { log: folder.sent(), entities: folder.entities(), masks: folder.masks() }
  folder.remove()
  return progress
}

export const NO_PROGRESS = { log: NOTHING_SENT, entities: NO_ENTITIES_SENT, masks: [] as string[] }

/** Whether a process runs. Returns false for a zombie process, because containers may never remove zombies. */
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
    return true
  }
}

/** Returns the id of the process that exits with the job; 0 in a container, where main's parent isn't the runner. */
export const findWorker = (tempFolder: string): number => (tempFolder.startsWith('/__w/') ? 0 : process.ppid)
