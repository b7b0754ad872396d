import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * What main, the companion and post know of each other: a folder beside the log file.
 *
 * - `pid`: the companion's, for as long as it runs
 * - `sent`: how much of the log file Port has, in bytes
 * - `stop`: post's word to the companion
 */
export interface ProgressFolder {
  path: string
  open(pid: number): void
  /** The companion's; 0 once it has said that it is done. */
  pid(): number
  done(): void
  sent(): number
  setSent(offset: number): void
  stop(): void
  /** Whether the companion should go: post says so, or the job's temporary files are gone. */
  stopped(): boolean
  remove(): void
}

export function progressFolder(logFile: string): ProgressFolder {
  const path = `${logFile}.progress`
  const file = (name: string) => join(path, name)
  const read = (name: string) => (existsSync(file(name)) ? Number(readFileSync(file(name), 'utf8')) : 0)
  // Whoever dies while writing leaves the old content, not half of the new one.
  const write = (name: string, content: string) => {
    writeFileSync(file(`${name}.new`), content)
    renameSync(file(`${name}.new`), file(name))
  }
  return {
    path,
    open(pid) {
      mkdirSync(path, { recursive: true })
      write('pid', String(pid))
    },
    pid: () => read('pid'),
    done: () => rmSync(file('pid'), { force: true }),
    sent: () => read('sent'),
    setSent: offset => write('sent', String(offset)),
    stop: () => writeFileSync(file('stop'), ''),
    stopped: () => existsSync(file('stop')) || !existsSync(path),
    remove: () => rmSync(path, { recursive: true, force: true }),
  }
}
