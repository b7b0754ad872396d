import { closeSync, readSync } from 'node:fs'
import {
  type FileLine,
  firstLine,
  openFile,
  PIECE,
  readBytes,
  readPiece,
  sizeOf,
} from '../runner/log-file.ts'
import { splitLines } from '../runner/split-lines.ts'
import { takeMasks } from '../secrets/masks.ts'

/** Each of the two ends that are kept has at most a piece's bytes and these lines. */
const MOST_LINES = 20_000

/**
 * What a job has left in its log file from a byte on, and the masks that it names: in full where that is at most 1 MB; else its first and its
 * last megabyte, with a line between them that says how much is left out. The file is never read whole.
 *
 * @throws Error where it cannot be read, or is no file
 */
export function readLinesFrom(path: string, from: number): { lines: string[]; masks: string[] } {
  const size = sizeOf(path)
  const head = readPiece(path, from, Math.min(size - from, PIECE), { rest: size - from <= PIECE })
  const first = head.slice(0, MOST_LINES)
  const end = first.at(-1)?.end ?? from
  const { lines: last, begin } = readTail(path, Math.max(end, size - PIECE), size)
  const gap = begin - end > 0 ? [leftOut(begin - end)] : []
  const lines = [...first, ...last].map(({ text }) => text).toSpliced(first.length, 0, ...gap)
  const taken = takeMasks(lines, line => line)
  return { lines: taken.lines, masks: [...findMasks(path, end, begin), ...taken.masks] }
}

/** The masks in a part of the file that is not sent: they hold for what is. */
function findMasks(path: string, from: number, to: number): string[] {
  if (from >= to) return []
  const masks: string[] = []
  const file = openFile(path)
  // One for all pieces, since the file may be larger than memory.
  const piece = Buffer.alloc(PIECE)
  try {
    for (let at = from; at < to; ) {
      const bytes = piece.subarray(0, readSync(file, piece, 0, Math.min(PIECE, to - at), at))
      if (bytes.length === 0) break
      if (bytes.includes('add-mask') || bytes.includes(WIDE_COMMAND))
        masks.push(...takeMasks(splitLines(bytes, { rest: true }), ({ text }) => text).masks)
      // A line that goes on in the next piece is read there.
      const lines = at + bytes.length < to ? bytes.lastIndexOf(0x0a) + 1 : 0
      at += lines || bytes.length
    }
  } finally {
    closeSync(file)
  }
  return masks
}

/** In UTF-16, as Windows PowerShell writes. */
const WIDE_COMMAND = Buffer.from('add-mask', 'utf16le')

/** The last lines of the file, none of them from before byte `from`. */
function readTail(path: string, from: number, size: number): { lines: FileLine[]; begin: number } {
  if (from >= size) return { lines: [], begin: size }
  const bytes = readBytes(path, from, size - from)
  const start = firstLine(path, from, bytes)
  const lines = splitLines(bytes.subarray(start), { rest: true }).map(line => ({
    text: line.text,
    end: from + start + line.end,
  }))
  const before = lines.at(-MOST_LINES - 1)
  return { lines: lines.slice(-MOST_LINES), begin: before?.end ?? from + start }
}

const leftOut = (bytes: number) =>
  `… ${Math.ceil(bytes / 1_000).toLocaleString('en')} KB of $PORT_LOG left out here`
