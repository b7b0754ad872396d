import type { LogLine } from '../../port/types.ts'
import type { EntitiesSent } from '../progress/progress-folder.ts'
import { splitDocuments } from '../report/entity-documents.ts'
import { type Entity, readEntities } from '../report/read-entities.ts'
import { type FileLine, nextMark, PIECE, readPiece, sizeOf } from '../runner/log-file.ts'

/** What is left of `$PORT_ENTITIES` to send and to report. */
export interface RemainingEntities {
  entities: Entity[]
  /** What became of earlier ones, and mistakes, for Port's log. */
  lines: LogLine[]
  /** A sentence for each entity that was refused, or has a mistake. */
  problems: string[]
}

const MOST_BYTES = 10_000_000

/**
 * Reads the entities that the progress reporter has not sent. A document with a mistake is left out, and the others are sent.
 *
 * @throws Error where the file cannot be read, or is no file
 */
export async function readRemainingEntities(path: string, sent: EntitiesSent): Promise<RemainingEntities> {
  const from = nextMark(path, sent).offset
  const size = sizeOf(path)
  const end = Math.min(size, from + MOST_BYTES)
  const remaining: RemainingEntities = { entities: [], lines: [...sent.lines], problems: [...sent.problems] }
  const fail = (problem: string) => {
    remaining.problems.push(problem)
    remaining.lines.push({ level: 'ERROR', message: `✗ ${problem}` })
  }
  let done = from === sent.offset ? sent.done : 0
  for (const { text } of splitDocuments(readLines(path, from, end), { settled: true })) {
    try {
      remaining.entities.push(...(await readEntities(text)).slice(done))
    } catch (error) {
      for (const problem of (error as Error).message.split('\n')) fail(problem)
    }
    done = 0
  }
  if (end < size)
    fail(`$PORT_ENTITIES is too large: what follows the first ${MOST_BYTES / 1e6} MB is not sent.`)
  return remaining
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
