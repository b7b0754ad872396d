import { type EntitiesSent, NO_PROGRESS, stopProgress } from './progress/process.ts'
import {
  type FileLine,
  firstLine,
  type JobFiles,
  linesBefore,
  nextMark,
  PIECE,
  readBytes,
  readPiece,
  sizeOf,
  splitLines,
  takeMasks,
} from './runner/files.ts'
import { describeMistake, type Runner, type Topic } from './runner/runner.ts'
import type { Redact } from './secrets/redact.ts'
import { type Entity, readEntities, splitDocuments } from './steps/entities.ts'
import { EMPTY_RUN_FILE, type RunFile, readRunFile } from './steps/run.ts'
import { errorLine } from './steps/send.ts'

/** Text in the steps' files that Port doesn't have yet. */
export interface Remaining {
  lines: string[]
  /** How many of the lines that were sent earlier may be missing in Port. */
  lost: number
  masks: string[]
  /** Whether texts can be redacted. False if `$PORT_LOG` couldn't be read, or if too many values are masked. */
  allMasks: boolean
  entities: ReturnType<typeof readRemainingEntities>
  run: RunFile
  problems: { sentence: string; topic: Topic }[]
}

const NOTHING: Remaining = {
  ...{ lines: [], lost: 0, masks: [], allMasks: false, run: EMPTY_RUN_FILE, problems: [] },
  entities: { documents: [], lines: [], problems: [] },
}

/** Returns the lines and entities that the progress reporter hasn't sent. Never rejects, because a broken file must not prevent the final status. */
export async function readRemaining(
  files: JobFiles,
  runner: Pick<Runner, 'clock' | 'sleep'>,
): Promise<Remaining> {
  const remaining: Remaining = { ...NOTHING, problems: [] }
  const attempt = async (sentence: string, topic: Topic, work: () => Promise<void>) => {
    try {
      await work()
    } catch (error) {
      remaining.problems.push({ sentence: `${sentence}: ${(error as Error).message}.`, topic })
    }
  }
  let progress = NO_PROGRESS
  await attempt(
    "Log lines and entities that Port doesn't have yet, your summary, links, and outputs aren't sent to Port, " +
      "because $PORT_LOG, which can contain masks, couldn't be read",
    'port-log',
    async () => {
      progress = await stopProgress(files.log, runner)
      Object.assign(remaining, { lost: progress.log.lost, masks: progress.masks })
      const { lines, masks } = readLinesFrom(files.log, nextMark(files.log, progress.log).offset)
      Object.assign(remaining, { lines, masks: [...progress.masks, ...masks], allMasks: true })
    },
  )
  const unsent = "Entities that Port doesn't have yet aren't sent, because $PORT_ENTITIES couldn't be read"
  await attempt(unsent, 'entities', async () => {
    remaining.entities = readRemainingEntities(files.entities, progress.entities)
  })
  await attempt("$PORT_RUN has no effect, because the file couldn't be read", 'port-run', async () => {
    remaining.run = readRunFile(files.run, { final: true })
  })
  return remaining
}

export const withoutTexts = ({ run: { conclusion } }: Remaining): Remaining => ({
  ...NOTHING,
  run: { ...EMPTY_RUN_FILE, conclusion },
  problems: [{ sentence: TOO_MANY_MASKS, topic: 'port-log' }],
})

const TOO_MANY_MASKS =
  'More than 1 MB of values is masked, so nothing that steps wrote is sent to Port: mask fewer values.'

/** The maximum number of lines in the first and in the last part of a log whose middle is cut. */
const MOST_LINES = 20_000

/**
 * Returns the lines and masks after `from` in a job's log file. Reads in chunks. If the text after `from` is too large,
 * keeps only the first and the last megabyte.
 * @throws Error if the file can't be read, or isn't a regular file
 */
export function readLinesFrom(path: string, from: number): { lines: string[]; masks: string[] } {
  const size = sizeOf(path)
  const head = readPiece(path, from, Math.min(size - from, PIECE), { rest: size - from <= PIECE })
  const first = head.slice(0, MOST_LINES)
  const end = first.at(-1)?.end ?? from
  const { lines: last, start: restart } = readTail(path, Math.max(end, size - PIECE), size)
  const gap = restart - end > 0 ? [leftOut(restart - end)] : []
  const lines = [...first, ...last].map(({ text }) => text).toSpliced(first.length, 0, ...gap)
  const taken = takeMasks(lines, line => line)
  return { lines: taken.lines, masks: [...findMasks(path, end, restart), ...taken.masks] }
}

function findMasks(path: string, from: number, to: number): string[] {
  const masks: string[] = []
  for (let at = from; at < to; ) {
    const bytes = readBytes(path, at, Math.min(PIECE, to - at))
    if (bytes.length === 0) break
    if (bytes.includes('add-mask') || bytes.includes(WIDE_COMMAND))
      masks.push(...takeMasks(splitLines(bytes, { rest: true }), ({ text }) => text).masks)
    // If this chunk cuts a line off, the next chunk starts with that line.
    const lines = at + bytes.length < to ? bytes.lastIndexOf(0x0a) + 1 : 0
    at += lines || bytes.length
  }
  return masks
}

const WIDE_COMMAND = Buffer.from('add-mask', 'utf16le')

function readTail(path: string, from: number, size: number): { lines: FileLine[]; start: number } {
  if (from >= size) return { lines: [], start: size }
  const bytes = readBytes(path, from, size - from)
  const start = firstLine(path, from, bytes)
  const found = splitLines(bytes.subarray(start), { rest: true })
  const lines = found.map(({ text, end }) => ({ text, end: from + start + end }))
  const before = lines.at(-MOST_LINES - 1)
  return { lines: lines.slice(-MOST_LINES), start: before?.end ?? from + start }
}

const leftOut = (bytes: number) =>
  `… ${Math.ceil(bytes / 1_000).toLocaleString('en')} KB of $PORT_LOG left out here`

const MOST_BYTES = 10_000_000

/** @throws Error if the file can't be read, or isn't a regular file */
function readRemainingEntities(path: string, sent: EntitiesSent) {
  const from = nextMark(path, sent).offset
  const size = sizeOf(path)
  const end = Math.min(size, from + MOST_BYTES)
  const before = linesBefore(path, from)
  const documents = splitDocuments(readLines(path, from, end), { settled: true }).map(
    ({ text, line }, index) => ({
      text,
      line: before + line,
      /** How many of the document's entities were already sent. */
      done: index === 0 && from === sent.offset ? sent.done : 0,
    }),
  )
  const remaining = { documents, lines: [...sent.lines], problems: [...sent.problems] }
  if (end < size) {
    const problem = `$PORT_ENTITIES is too large: everything after the first ${MOST_BYTES / 1e6} MB is omitted.`
    remaining.problems.push(problem)
    remaining.lines.push(errorLine(problem))
  }
  return remaining
}

/** Returns the entities in valid documents, and a message for each error in invalid ones. */
export async function readDocuments(documents: Remaining['entities']['documents'], redact: Redact) {
  const all: Entity[] = []
  const problems: string[] = []
  for (const { text, line, done } of documents) {
    const { entities, mistakes } = await readEntities(text, line)
    all.push(...entities.slice(done))
    problems.push(...mistakes.map(mistake => describeMistake(mistake, '$PORT_ENTITIES', redact)))
  }
  return { entities: all, problems }
}

function readLines(path: string, from: number, to: number): FileLine[] {
  const lines: FileLine[] = []
  for (let at = from; at < to; ) {
    const found = readPiece(path, at, Math.min(PIECE, to - at), { rest: to - at <= PIECE })
    if (found.length === 0) break
    lines.push(...found)
    at = found.at(-1)!.end
  }
  return lines
}
