import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
} from 'node:fs'
import { splitLines } from '../runner/files.ts'

/**
 * Takes the report of this run for the step that asks first.
 *
 * @param how its input `report`
 * @returns that of an earlier step of the job, which has the report; null if there is none
 */
export function claimReport(logFile: string, how: string): string | null {
  const claim = `${logFile}.reported`
  if (existsSync(claim)) return readFileSync(claim, 'utf8')
  writeFileSync(claim, how)
  return null
}

/** A line of the file, and the byte after its end. */
export interface FileLine {
  text: string
  end: number
}

/** How much of the file is read at once, in bytes. */
export const PIECE = 1_000_000

/**
 * The whole lines from byte `offset` on, from one piece of the file, however much a step writes. A line
 * still being written is left for later; of one that started before, an empty text is left.
 *
 * @throws Error if it cannot be read, or isn't a file
 */
export function readLogFile(path: string, offset: number, most = PIECE): FileLine[] {
  return readPiece(path, offset, Math.min(sizeOf(path) - offset, most), { rest: false, most })
}

/** A place in the file, and what precedes it. */
export interface LogMark {
  /** In bytes. */
  offset: number
  /** The last bytes before it, in Base64. */
  before: string
}

export const START: LogMark = { offset: 0, before: '' }
const MARK_BYTES = 64

export function markAt(path: string, offset: number): LogMark {
  return keepMarks(path, offset, offset)(offset)
}

/** The marks of a part of the file as it is now, whatever becomes of it before one is needed. */
export function keepMarks(path: string, from: number, to: number): (offset: number) => LogMark {
  const start = Math.max(from - MARK_BYTES, 0)
  const bytes = readBytes(path, start, to - start)
  return offset => {
    const before = bytes.subarray(Math.max(offset - MARK_BYTES - start, 0), offset - start)
    return { offset, before: before.toString('base64') }
  }
}

/** Where to continue in the file. If the text before the mark has changed, the file was rewritten, and is read from its start. */
export function nextMark(path: string, sent: LogMark): LogMark {
  if (sent.offset === 0 || sizeOf(path) < sent.offset) return START
  return markAt(path, sent.offset).before === sent.before ? sent : START
}

/** In bytes; 0 if there is no such file. */
export function sizeOf(path: string): number {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (!found) return 0
  // Anything else might never end, or keep its reader waiting forever; a symbolic link would send another file to Port.
  if (!found.isFile()) throw new Error(`${path} is no longer a file`)
  return found.size
}

/**
 * @param options.rest whether what follows the last line's end is a line too
 * @param options.most the bytes of a whole piece: one that has no line's end is a line too long to be shown whole
 */
export function readPiece(
  path: string,
  from: number,
  length: number,
  options: { rest: boolean; most?: number },
): FileLine[] {
  if (length <= 0) return []
  const bytes = readBytes(path, from, length)
  const start = firstLine(path, from, bytes)
  const rest = start > 0 ? [{ text: '', end: 0 }] : []
  const lines = [...rest, ...splitLines(bytes.subarray(start), options)]
  // A piece without the end of a line is a line too long to be shown whole.
  const found =
    lines.length > 0 || length < (options.most ?? PIECE) ? lines : splitLines(bytes, { rest: true })
  return found.map(({ text, end }) => ({ text, end: from + start + end }))
}

/**
 * Where the first line of a piece starts. What precedes it is left out: it may be the second half of a secret.
 */
export function firstLine(path: string, from: number, bytes: Buffer): number {
  const before = readBytes(path, Math.max(from - 2, 0), Math.min(from, 2)).toString('latin1')
  if (from === 0 || before.endsWith('\n\0')) return 0
  const start = before.endsWith('\n') ? 0 : bytes.indexOf('\n') + 1
  if (start === 0 && !before.endsWith('\n')) return bytes.length
  // The end of a line in UTF-16 has a zero byte more.
  return bytes[start] === 0 ? start + 1 : start
}

/** How many lines end before this byte. */
export function linesBefore(path: string, offset: number): number {
  let lines = 0
  for (let at = 0; at < offset; at += PIECE) {
    const bytes = readBytes(path, at, Math.min(PIECE, offset - at))
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, end + 1)) lines++
  }
  return lines
}

/** Opens it for reading; fails on a symbolic link, except on Windows, which can't detect one. */
export const openFile = (path: string): number =>
  openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))

/** Fewer at the end of the file. */
export function readBytes(path: string, from: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  const file = openFile(path)
  try {
    return bytes.subarray(0, readSync(file, bytes, 0, length, from))
  } finally {
    closeSync(file)
  }
}
