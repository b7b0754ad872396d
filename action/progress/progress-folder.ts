import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LogLine } from '../../port/types.ts'
import { type LogMark, START } from '../runner/log-file.ts'
import { birthOf } from '../runner/processes.ts'

/**
 * What main, the progress reporter and post share: a folder beside the log file.
 *
 * - `pid`: the progress reporter's, for as long as it runs
 * - `born`: when it began, since its pid may be another process's by now
 * - `sent`: how far Port has the log file, and how many lines it may not have
 * - `entities`: how far Port has those of `$PORT_ENTITIES`
 * - `masks`: what lines `::add-mask::` have named
 * - `stop`: post asks the progress reporter to end
 */
export interface ProgressFolder {
  path: string
  open(pid: number): void
  /** The progress reporter's; 0 once it is done. */
  pid(): number
  /** Whether the process of that pid is the progress reporter, and runs; 'unknown' where the system does not show when a process began. */
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
  /** Whether the progress reporter should go: post asks for it, or the job's temporary files are gone. */
  stopped(): boolean
  remove(): void
}

/** What the progress reporter has sent of the log file. */
export interface Sent extends LogMark {
  /** Lines before the mark that Port may not have, nor a line that says so. */
  lost: number
}

export const NOTHING_SENT: Sent = { ...START, lost: 0 }

/** What the progress reporter has sent of `$PORT_ENTITIES`. */
export interface EntitiesSent extends LogMark {
  /** How many entities of the document that begins at the mark are done. */
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
