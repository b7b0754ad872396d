import type { LogLine } from '../../port/types.ts'
import { splitDocuments } from '../report/entity-documents.ts'
import { readEntities } from '../report/read-entities.ts'
import { sendEntity } from '../report/send-entities.ts'
import { linesBefore, markAt, nextMark, readLogFile, sizeOf } from '../runner/log-file.ts'
import { describeMistake } from '../runner/mistake.ts'
import type { Following } from './following.ts'

/**
 * A look at `$PORT_ENTITIES` that sends what steps have appended, in order: each document once it is whole, which shows by what follows
 * it, or by the file not having changed since the last look. What becomes of them goes to Port's log.
 */
export function followEntities(following: Following): () => Promise<void> {
  const { job, run, folder, masks, clock, ended, send } = following
  const file = job.files.entities
  let size = 0
  let linesRefused = false
  return async () => {
    await sendNew()
    await sendLines()
  }

  async function sendNew(): Promise<void> {
    const state = folder.entities()
    const mark = nextMark(file, state)
    if (mark.offset !== state.offset) folder.setEntities({ ...state, ...mark, done: 0 })
    const before = size
    size = sizeOf(file)
    if (size <= mark.offset) return
    const lines = readLogFile(file, mark.offset)
    // A piece that ends before the file may cut its last document; one without an end of its last line is still written.
    const settled = size === before && lines.at(-1)?.end === size
    const documents = splitDocuments(lines, { settled })
    for (const document of documents) {
      const { entities, mistakes } = await readEntities(document.text, document.line)
      if (mistakes.length > 0) {
        // The rest of it may still come.
        if (!document.closed) return
        const before = linesBefore(file, mark.offset)
        for (const { line, ...mistake } of mistakes) {
          const counted = { ...mistake, line: line === null ? null : before + line }
          const problem = describeMistake(counted, '$PORT_ENTITIES', masks.redact)
          report({ line: errorLine(problem), problem })
        }
      } else {
        for (let index = folder.entities().done; index < entities.length; index++) {
          if (ended.signal.aborted || clock() < following.pausedUntil()) return
          const result = await sendEntity(entities[index]!, run)
          if (result.error) following.trouble(result.error)
          if (result.error?.temporary || ended.signal.aborted) return
          report(result)
          folder.setEntities({ ...folder.entities(), done: index + 1 })
        }
      }
      folder.setEntities({ ...folder.entities(), ...markAt(file, document.end), done: 0 })
    }
  }

  function report(result: { line: LogLine; problem: string | null }): void {
    const { lines, problems, ...rest } = folder.entities()
    folder.setEntities({
      ...rest,
      lines: [...lines, result.line],
      problems: result.problem === null ? problems : [...problems, result.problem],
    })
  }

  async function sendLines(): Promise<void> {
    const state = folder.entities()
    if (linesRefused || state.lines.length === 0 || clock() < following.pausedUntil()) return
    // Before, so that none is there twice when this process is killed meanwhile.
    folder.setEntities({ ...state, lines: [] })
    const error = await send(() => run.log(state.lines))
    linesRefused = error?.kind === 'refused'
    if (error) folder.setEntities({ ...folder.entities(), lines: state.lines.slice(error.linesSent) })
  }
}

const errorLine = (message: string): LogLine => ({ level: 'ERROR', message: `✗ ${message}` })
