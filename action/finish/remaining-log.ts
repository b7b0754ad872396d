import { type FileLine, firstLine, PIECE, readBytes, readPiece, sizeOf } from '../runner/log-file.ts'
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
  const masks: string[] = []
  for (let at = from; at < to; ) {
    const bytes = readBytes(path, at, Math.min(PIECE, to - at))
    const lastLine = bytes.lastIndexOf(0x0a) + 1
    // In UTF-16, a zero byte stands after each letter.
    if (bytes.includes('add-mask') || bytes.includes(Buffer.from('add-mask', 'utf16le')))
      masks.push(...takeMasks(splitLines(bytes, { rest: true }), ({ text }) => text).masks)
    if (bytes.length === 0) break
    at += lastLine > 0 && at + bytes.length < to ? lastLine : bytes.length
  }
  return masks
}

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
