import { parseJson } from '../../../port/parse-json.ts'
import { isObject, type JsonObject } from '../../../port/types.ts'
import { UsageError } from '../command.ts'

/** What `send --action NAME` knows of the run. */
export interface Invoked {
  action: string
  inputs: JsonObject
  blueprint: string | null
  operation: string | null
  /** An identifier, or the whole entity as JSON. */
  entity: string | null
  runId: string | null
  /** ms since the epoch */
  now: number
}

/** The recommended body as Port renders it; without a run id none is in it, and nothing is sent to Port. */
export function makeBody({ action, inputs, blueprint, operation, entity, runId, now }: Invoked): JsonObject {
  return {
    inputs,
    trigger: {
      by: { user: { email: 'send@localhost', firstName: 'send', lastName: '' } },
      origin: 'API',
      at: new Date(now).toISOString(),
      operation: operation ?? (entity ? 'DAY-2' : 'CREATE'),
    },
    event: null,
    entity: entity ? readEntity(entity, blueprint) : {},
    action: { identifier: action, blueprint, encryptedProperties: [] },
    ...(runId && { run: { id: runId } }),
  }
}

function readEntity(text: string, blueprint: string | null): JsonObject {
  if (!text.trimStart().startsWith('{')) return { identifier: text, ...(blueprint && { blueprint }) }
  const entity = parseJson(text)
  if (isObject(entity)) return entity
  throw new UsageError('--entity must be an identifier, or the entity as a JSON object.')
}
