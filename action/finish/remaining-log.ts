import { stopProgress } from '../progress/stop-progress.ts'
import {
  type FileLine,
  firstLine,
  nextMark,
  PIECE,
  readBytes,
  readPiece,
  sizeOf,
} from '../runner/log-file.ts'
import type { Runner } from '../runner/runner.ts'
import { splitLines } from '../runner/split-lines.ts'

/**
 * Ends the progress reporter and reads what it has not sent of the log file. Never rejects: the final status does not wait for a
 * file that somebody has broken.
 *
 * @returns the lines; how many before them Port may not have; and where there is trouble a sentence about it
 */
export async function readRemainingLog(
  logFile: string,
  runner: Pick<Runner, 'clock' | 'sleep'>,
): Promise<{ lines: string[]; lost: number; problem: string | null }> {
  let lost = 0
  try {
    const sent = await stopProgress(logFile, runner)
    lost = sent.lost
    return { lines: readLinesFrom(logFile, nextMark(logFile, sent).offset), lost, problem: null }
  } catch (error) {
    const problem = `The rest of $PORT_LOG is not sent to Port, since it could not be read: ${(error as Error).message}.`
    return { lines: [], lost, problem }
  }
}

/** Each of the two ends that are kept has at most a piece's bytes and these lines. */
const MOST_LINES = 20_000

/**
 * What a job has left in its log file from a byte on, in full where that is at most 1 MB; else its first and its
 * last megabyte, with a line between them that says how much is left out. The file is never read whole.
 *
 * @throws Error where it cannot be read, or is no file
 */
export function readLinesFrom(path: string, from: number): string[] {
  const size = sizeOf(path)
  const head = readPiece(path, from, Math.min(size - from, PIECE), { rest: size - from <= PIECE })
  const first = head.slice(0, MOST_LINES)
  const end = first.at(-1)?.end ?? from
  const { lines: last, begin } = readTail(path, Math.max(end, size - PIECE), size)
  const gap = begin - end > 0 ? [leftOut(begin - end)] : []
  return [...first, ...last].map(({ text }) => text).toSpliced(first.length, 0, ...gap)
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
