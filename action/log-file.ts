import { closeSync, existsSync, openSync, readSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { splitLines } from './split-lines.ts'

/** Where steps write lines for the log of this Port run. In a job container RUNNER_TEMP is mounted, so the path holds there too. */
export function logFilePath(tempFolder: string, delivery: string): string {
  return join(tempFolder, `port-log-${delivery.replace(/[^A-Za-z0-9_-]/g, '-')}.txt`)
}

/** Creates the file; false where an earlier step of the job has done so. */
export function createLogFile(path: string): boolean {
  if (existsSync(path)) return false
  writeFileSync(path, '')
  return true
}

/**
 * The lines from byte `offset` on, each with the offset after it; a line still being written comes only when
 * `whole`. Without `whole`, no more than a piece of the file is read, whatever a step pours into it.
 */
export function readLogFile(path: string, offset: number, whole: boolean): { text: string; end: number }[] {
  if (!existsSync(path)) return []
  const left = statSync(path).size - offset
  if (left <= 0) return []
  const bytes = Buffer.alloc(whole ? left : Math.min(left, PIECE))
  const file = openSync(path, 'r')
  const length = readSync(file, bytes, 0, bytes.length, offset)
  closeSync(file)
  // A piece without the end of a line is a line too long to be shown whole.
  const lines = splitLines(bytes.subarray(0, length), { rest: whole })
  const found =
    lines.length > 0 || length < PIECE ? lines : splitLines(bytes.subarray(0, length), { rest: true })
  return found.map(({ text, end }) => ({ text, end: offset + end }))
}

const PIECE = 1_000_000
