import { PortError } from '../../port/client/port-client.ts'
import type { LogLine } from '../../port/types.ts'
import { readEntities } from './read-entities.ts'
import type { Reporter } from './reporter-contract.ts'

/**
 * Upserts the entities of the input `entities`, one after the other, since one may relate to those before it. With
 * Port away, or no time left, the rest are not tried: the final status is waiting.
 *
 * @returns what became of them as log lines, and a sentence for each failure
 */
export async function sendEntities(
  text: string,
  reporter: Pick<Reporter, 'upsertEntity' | 'late'>,
): Promise<{ lines: LogLine[]; problems: string[] }> {
  const lines: LogLine[] = []
  const problems: string[] = []
  let away = false
  const fail = (message: string) => {
    problems.push(message)
    lines.push({ level: 'ERROR', message: `✗ ${message}` })
  }
  const entities = await readEntities(text).catch(error => {
    for (const problem of error.message.split('\n')) fail(problem)
    return []
  })
  for (const [index, { blueprint, identifier, body }] of entities.entries()) {
    if (index > 0 && (away || reporter.late())) {
      const left = entities.length - index
      const which = left === 1 ? 'The last entity was' : `The last ${left} entities were`
      fail(`${which} not sent, since ${away ? 'Port could not be reached' : 'no time was left'}.`)
      break
    }
    try {
      await reporter.upsertEntity(blueprint, body)
      lines.push({ level: 'INFO', message: `✓ Entity ${blueprint}/${identifier}` })
    } catch (error) {
      away = error instanceof PortError && error.temporary
      fail(
        `Entity ${blueprint}/${identifier} could not be upserted: ${error instanceof Error ? error.message : error}`,
      )
    }
  }
  return { lines, problems }
}
