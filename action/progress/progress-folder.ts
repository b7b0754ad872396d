import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type LogMark, START } from '../runner/log-file.ts'
import { birthOf } from '../runner/processes.ts'

/**
 * What main, the companion and post know of each other: a folder beside the log file.
 *
 * - `pid`: the companion's, for as long as it runs
 * - `born`: when it began, since its pid may be another process's by now
 * - `sent`: how far Port has the log file, and how many lines it may not have
 * - `stop`: post's word to the companion
 */
export interface ProgressFolder {
  path: string
  open(pid: number): void
  /** The companion's; 0 once it has said that it is done. */
  pid(): number
  /** Whether the process of that pid is the companion, and runs; 'unknown' where the system does not tell its birth. */
  isItself(pid: number): boolean | 'unknown'
  done(): void
  sent(): Sent
  setSent(sent: Sent): void
  stop(): void
  /** Whether the companion should go: post says so, or the job's temporary files are gone. */
  stopped(): boolean
  remove(): void
}

/** What the companion has sent of the log file. */
export interface Sent extends LogMark {
  /** Lines before the mark that Port may not have, nor a line that says so. */
  lost: number
}

export const NOTHING_SENT: Sent = { ...START, lost: 0 }

export function progressFolder(logFile: string): ProgressFolder {
  const path = `${logFile}.progress`
  const file = (name: string) => join(path, name)
  const text = (name: string) => (existsSync(file(name)) ? readFileSync(file(name), 'utf8') : '')
  // Whoever dies while writing leaves the old content, not half of the new one.
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
    sent: () => JSON.parse(text('sent') || JSON.stringify(NOTHING_SENT)),
    setSent: sent => write('sent', JSON.stringify(sent)),
    stop: () => writeFileSync(file('stop'), ''),
    stopped: () => existsSync(file('stop')) || !existsSync(path),
    remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }),
  }
}
