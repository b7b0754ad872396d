import type { LogLine } from '../port/client.ts'
import { readEntities } from './entities.ts'
import type { Reporter } from './reporter.ts'

/**
 * Upserts the entities of the input `entities`, one after the other, since one may relate to those before it.
 *
 * @returns what became of them as log lines, and a sentence for each failure
 */
export async function sendEntities(
  text: string,
  reporter: Pick<Reporter, 'upsertEntity'>,
): Promise<{ lines: LogLine[]; problems: string[] }> {
  const lines: LogLine[] = []
  const problems: string[] = []
  const fail = (message: string) => {
    problems.push(message)
    lines.push({ level: 'ERROR', message: `✗ ${message}` })
  }
  const entities = await readEntities(text).catch(error => {
    for (const problem of error.message.split('\n')) fail(problem)
    return []
  })
  for (const { blueprint, identifier, body } of entities) {
    try {
      await reporter.upsertEntity(blueprint, body)
      lines.push({ level: 'INFO', message: `✓ Entity ${blueprint}/${identifier}` })
    } catch (error) {
      fail(
        `Entity ${blueprint}/${identifier} could not be upserted: ${error instanceof Error ? error.message : error}`,
      )
    }
  }
  return { lines, problems }
}
