import { PortError } from '../../port/client/client.ts'
import { logBatches } from '../../port/client/messages.ts'
import type { LogLine } from '../../port/types.ts'
import { QuotaError } from '../reporter/relay-request.ts'
import { isUncertain, type Reporter } from '../reporter/reporter.ts'
import type { Entity } from './entities.ts'

/** The result of an entity. */
export interface EntityResult {
  /** For the log of the run in Port. */
  line: LogLine
  /** A sentence if it was refused. */
  problem: string | null
  /** Why Port doesn't have it; null if it has it, or if the error isn't Port's or the relay's. */
  error: PortError | null
}

/** Upserts or deletes one entity in Port. Both may be repeated: a lost response costs nothing. */
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
      return done(`– Entity ${name} was not deleted: Port knows no such entity`)
    const reason = error instanceof Error ? error.message : String(error)
    const problem = `Entity ${name} could not be ${operation === 'upsert' ? 'upserted' : 'deleted'}: ${reason}`
    const known = error instanceof PortError ? error : null
    return { line: { level: 'ERROR', message: `✗ ${problem}` }, problem, error: known }
  }
  const deleted = operation === 'delete' ? ' deleted' : ''
  // The relay sends it to Port later, and reports there what Port refuses.
  return done(
    reporter.isDeferred ? `Entity ${name}${deleted}: passed to the relay` : `✓ Entity ${name}${deleted}`,
  )
}

/**
 * Sends entities one after the other, since one may relate to those before it. If Port is unreachable, or no time is left, the rest
 * aren't tried: the final status is waiting.
 *
 * @returns their results as log lines, and a sentence for each failure
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
      const problem = `${which} not sent, since ${away ? 'Port could not be reached' : 'no time was left'}.`
      problems.push(problem)
      lines.push({ level: 'ERROR', message: `✗ ${problem}` })
      break
    }
  }
  return { lines, problems }
}

/**
 * Sends lines in batches, one after the other, since Port shows them in order of arrival. A batch whose response was
 * lost isn't sent again, so that no line is there twice: a line in its place says that some may be missing. One that
 * Port refuses is left out, since it may accept the next; once the quota of the run is used up, none is sent.
 *
 * What the sender throws is that of the first batch that failed; its `linesSent` is how many lines Port has, or may
 * have, so that they need not be sent again; its `linesLost` are those that may be missing and are not yet counted in a line.
 *
 * @param send one batch
 * @param late whether the time has passed; the first batch goes in any case
 */
export function createLogSender(
  send: (batch: LogLine[]) => Promise<void>,
  late: () => boolean,
): (lines: readonly LogLine[]) => Promise<void> {
  /** Lines that may be missing, and that no line in Port counts yet. */
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

/** Takes the place of lines that may be missing. */
export const missingLine = (count: number): LogLine => ({
  level: 'WARN',
  message: `… ${count === 1 ? '1 line' : `${count} lines`} may be missing here: Port's response to ${count === 1 ? 'it' : 'them'} was lost.`,
})

const noTime = (count: number) =>
  new PortError(
    'unreachable',
    `no time was left for ${count === 1 ? 'the last line' : `the last ${count} lines`} of it.`,
  )
