import type { LogLine } from '../../port/types.ts'
import type { EntitiesSent } from '../progress/progress-folder.ts'
import { splitDocuments } from '../report/entity-documents.ts'
import { type Entity, readEntities } from '../report/read-entities.ts'
import { type FileLine, linesBefore, nextMark, PIECE, readPiece, sizeOf } from '../runner/log-file.ts'
import { describeMistake } from '../runner/mistake.ts'
import type { Redact } from '../secrets/redact.ts'

/** What is left of `$PORT_ENTITIES` to send and to report. */
export interface RemainingEntities {
  documents: Document[]
  /** What became of earlier ones, for Port's log. */
  lines: LogLine[]
  /** A sentence for each entity that was refused. */
  problems: string[]
}

interface Document {
  text: string
  /** The number of its first line in the file. */
  line: number
  /** How many of its entities were sent before. */
  done: number
}

const MOST_BYTES = 10_000_000

/**
 * Reads what the progress reporter has not sent.
 *
 * @throws Error where the file cannot be read, or is no file
 */
export function readRemainingEntities(path: string, sent: EntitiesSent): RemainingEntities {
  const from = nextMark(path, sent).offset
  const size = sizeOf(path)
  const end = Math.min(size, from + MOST_BYTES)
  const before = linesBefore(path, from)
  const documents = splitDocuments(readLines(path, from, end), { settled: true }).map(
    ({ text, line }, index) => ({
      text,
      line: before + line,
      done: index === 0 && from === sent.offset ? sent.done : 0,
    }),
  )
  const remaining = { documents, lines: [...sent.lines], problems: [...sent.problems] }
  if (end < size) {
    const problem = `$PORT_ENTITIES is too large: what follows the first ${MOST_BYTES / 1e6} MB is not sent.`
    remaining.problems.push(problem)
    remaining.lines.push({ level: 'ERROR', message: `✗ ${problem}` })
  }
  return remaining
}

/** The entities of the documents. One with a mistake is left out as a whole, and each mistake is a sentence. */
export async function readDocuments(
  documents: Document[],
  redact: Redact,
): Promise<{ entities: Entity[]; problems: string[] }> {
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
