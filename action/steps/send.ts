import { PortError } from '../../port/client/client.ts'
import { logBatches } from '../../port/client/run-bodies.ts'
import type { LogLine } from '../../port/types.ts'
import { isUncertain, QuotaError, type Reporter } from '../reporter/reporter.ts'
import type { Entity } from './entities.ts'

export const errorLine = (message: string): LogLine => ({ level: 'ERROR', message: `✗ ${message}` })

/** Upserts or deletes one entity in Port. After a lost response, repeating the request is safe. */
export async function sendEntity(
  { operation, blueprint, identifier, body }: Entity,
  reporter: Pick<Reporter, 'upsertEntity' | 'deleteEntity' | 'isDeferred'>,
) {
  const name = `${blueprint}/${identifier}`
  const done = (message: string) => ({
    line: { level: 'INFO', message } as LogLine,
    problem: null,
    error: null,
  })
  try {
    if (operation === 'upsert') await reporter.upsertEntity(blueprint, body)
    else await reporter.deleteEntity(blueprint, identifier)
  } catch (error) {
    const isMissing = error instanceof PortError && error.status === 404 && error.kind === 'refused'
    if (operation === 'delete' && isMissing)
      return done(`– Entity ${name} wasn't deleted: it doesn't exist in Port`)
    const reason = error instanceof Error ? error.message : String(error)
    const problem = `Entity ${name} couldn't be ${operation === 'upsert' ? 'upserted' : 'deleted'}: ${reason}`
    const known = error instanceof PortError ? error : null
    return { line: errorLine(problem), problem, error: known }
  }
  const [deletion, deleted] = operation === 'delete' ? ['Deletion of entity', ' deleted'] : ['Entity', '']
  // If Port rejects the entity later, the relay adds a line to the Port run's log.
  return done(reporter.isDeferred ? `${deletion} ${name}: passed to the relay` : `✓ Entity ${name}${deleted}`)
}

/** Sends entities in order, because an entity can relate to earlier entities. Stops if Port is unreachable or the time is up. */
export async function sendEntities(
  entities: readonly Entity[],
  reporter: Pick<Reporter, 'upsertEntity' | 'deleteEntity' | 'isDeferred' | 'late'>,
): Promise<{ lines: LogLine[]; problems: string[] }> {
  const lines: LogLine[] = []
  const problems: string[] = []
  for (const [index, entity] of entities.entries()) {
    const result = await sendEntity(entity, reporter)
    lines.push(result.line)
    if (result.problem !== null) problems.push(result.problem)
    const left = entities.length - index - 1
    const away = result.error?.temporary === true
    if (left > 0 && (away || reporter.late())) {
      const which = left === 1 ? "The last entity wasn't" : `The last ${left} entities weren't`
      const problem = `${which} sent, because ${away ? "Port couldn't be reached" : 'no time was left'}.`
      problems.push(problem)
      lines.push(errorLine(problem))
      break
    }
  }
  return { lines, problems }
}

/**
 * Returns a function that sends lines in batches. It never sends a batch again, so that no line appears twice. After a
 * lost response, it sends a notice that lines may be missing. It continues after a rejected batch, unless the workflow
 * run's quota is used up. Throws the error of the first failed batch. Its `linesSent` is the number of lines that the
 * caller must not send again. Its `linesLost` is the number of lines that may be missing without a notice in Port.
 * @param late whether the time is up. If it is, no batch after the first one is sent.
 */
export function createLogSender(send: (batch: LogLine[]) => Promise<void>, late: () => boolean) {
  let lost = 0

  return async (lines: readonly LogLine[]): Promise<void> => {
    let left = lines.length
    let failure: PortError | null = null
    let gotLost = false
    const stop: (error: PortError) => never = error => {
      error.linesSent = lines.length - left
      error.linesLost = lost
      throw error
    }
    for (let first = true; left > 0 || (failure && lost > 0); first = false) {
      if (!first && late()) stop(failure ?? noTime(left))
      const mark = lost > 0 ? [missingLine(lost)] : []
      const batch = logBatches([...mark, ...lines.slice(lines.length - left)])[0]!
      const count = batch.length - mark.length
      try {
        await send(batch)
        lost = 0
        left -= count
      } catch (error) {
        if (!(error instanceof PortError)) throw error
        if (error instanceof QuotaError) stop(error)
        const uncertain: boolean = isUncertain(error)
        const again = gotLost && uncertain
        if (!uncertain && error.kind !== 'refused') stop(failure ?? error)
        if (uncertain) lost += count
        left -= count
        failure ??= error
        gotLost ||= uncertain
        if (count === 0 || again) stop(failure)
      }
    }
    if (failure) stop(failure)
  }
}

export const missingLine = (count: number): LogLine => ({
  level: 'WARN',
  message: `… ${count === 1 ? '1 line' : `${count} lines`} may be missing here: Port's response to ${count === 1 ? 'it' : 'them'} was lost.`,
})

const noTime = (count: number) =>
  new PortError(
    'unreachable',
    `no time was left for ${count === 1 ? 'the last line' : `the last ${count} lines`} of the log.`,
  )
