import { PortError } from '../../port/client/client.ts'
import { logBatches } from '../../port/client/messages.ts'
import type { LogLine } from '../../port/types.ts'
import { isUncertain, QuotaError, type Reporter } from '../reporter/reporter.ts'
import type { Entity } from './entities.ts'

/** The result of sending an entity. */
export interface EntityResult {
  /** A line for the Port run's log. */
  line: LogLine
  /** A message if the entity was rejected. */
  problem: string | null
  /** Why Port doesn't have the entity; null if Port has it, or if the error didn't come from Port or the relay. */
  error: PortError | null
}

/** Upserts or deletes one entity in Port. Both operations are safe to repeat after a lost response. */
export async function sendEntity(
  { operation, blueprint, identifier, body }: Entity,
  reporter: Pick<Reporter, 'upsertEntity' | 'deleteEntity' | 'isDeferred'>,
): Promise<EntityResult> {
  const name = `${blueprint}/${identifier}`
  const done = (what: string, level: LogLine['level'] = 'INFO'): EntityResult => ({
    line: { level, message: what },
    problem: null,
    error: null,
  })
  try {
    if (operation === 'upsert') await reporter.upsertEntity(blueprint, body)
    else await reporter.deleteEntity(blueprint, identifier)
  } catch (error) {
    if (
      operation === 'delete' &&
      error instanceof PortError &&
      error.status === 404 &&
      error.kind === 'refused'
    )
      return done(`– Entity ${name} was not deleted: it doesn't exist in Port`)
    const reason = error instanceof Error ? error.message : String(error)
    const problem = `Entity ${name} could not be ${operation === 'upsert' ? 'upserted' : 'deleted'}: ${reason}`
    const known = error instanceof PortError ? error : null
    return { line: { level: 'ERROR', message: `✗ ${problem}` }, problem, error: known }
  }
  const [deletion, deleted] = operation === 'delete' ? ['Deletion of entity', ' deleted'] : ['Entity', '']
  // The relay sends the entity to Port later. If Port rejects the entity, the relay writes to the run's log.
  return done(reporter.isDeferred ? `${deletion} ${name}: passed to the relay` : `✓ Entity ${name}${deleted}`)
}

/**
 * Sends entities one at a time, because an entity can relate to earlier entities. If Port is unreachable or the time is
 * up, skips the remaining entities so that the final status can be sent.
 *
 * @returns the results as log lines, and a message for each failure
 */
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
      const which = left === 1 ? 'The last entity was' : `The last ${left} entities were`
      const problem = `${which} not sent, because ${away ? 'Port could not be reached' : 'no time was left'}.`
      problems.push(problem)
      lines.push({ level: 'ERROR', message: `✗ ${problem}` })
      break
    }
  }
  return { lines, problems }
}

/**
 * Sends batches of lines one at a time, because Port shows lines in order of arrival. If a response is lost, its batch
 * isn't sent again, so that no line appears twice. Instead, a line states that some lines may be missing. If Port
 * rejects a batch, continues with the next batch. Stops when the run's quota is used up.
 *
 * Throws the first failed batch's error. `linesSent` counts the lines that Port has or may have; the caller must not
 * send them again. `linesLost` counts the lines that may be missing and whose loss no line in Port mentions.
 *
 * @param send sends one batch
 * @param late whether the time is up; the first batch is sent in any case
 */
export function createLogSender(
  send: (batch: LogLine[]) => Promise<void>,
  late: () => boolean,
): (lines: readonly LogLine[]) => Promise<void> {
  /** The number of lines that may be missing and whose loss no line in Port mentions. */
  let lost = 0

  return async lines => {
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

/** The line that replaces lines that may be missing. */
export const missingLine = (count: number): LogLine => ({
  level: 'WARN',
  message: `… ${count === 1 ? '1 line' : `${count} lines`} may be missing here: Port's response to ${count === 1 ? 'it' : 'them'} was lost.`,
})

const noTime = (count: number) =>
  new PortError(
    'unreachable',
    `no time was left for ${count === 1 ? 'the last line' : `the last ${count} lines`} of the log.`,
  )
