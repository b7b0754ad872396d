import { PortError } from '../../port/client/client.ts'
import type { LogLine } from '../../port/types.ts'
import type { Reporter } from '../reporter/reporter.ts'
import type { Entity } from './entities.ts'

/** The result of an entity. */
export interface EntityResult {
  /** For the log of the run in Port. */
  line: LogLine
  /** A sentence if it was refused. */
  problem: string | null
  /** Why Port does not have it; null if it has, and for what is no error of Port's or the relay's. */
  error: PortError | null
}

/** Upserts or deletes one entity in Port. Both may be repeated: a lost response costs nothing. */
export async function sendEntity(
  { operation, blueprint, identifier, body }: Entity,
  reporter: Pick<Reporter, 'upsertEntity' | 'deleteEntity' | 'handsOn'>,
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
    reporter.handsOn ? `Entity ${name}${deleted}: handed to the relay` : `✓ Entity ${name}${deleted}`,
  )
}

/**
 * Sends entities one after the other, since one may relate to those before it. With Port away, or no time left, the rest
 * are not tried: the final status is waiting.
 *
 * @returns what became of them as log lines, and a sentence for each failure
 */
export async function sendEntities(
  entities: readonly Entity[],
  reporter: Pick<Reporter, 'upsertEntity' | 'deleteEntity' | 'handsOn' | 'late'>,
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
