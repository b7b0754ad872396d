import { createHmac } from 'node:crypto'
import type { Json, JsonObject } from '../../port/types.ts'
import { renderBody } from '../../workflow-files/render-body.ts'
import type { PortRun } from './state.ts'

/** The fields of an action's definition that the fake Port reads. */
export interface PortAction {
  identifier: string
  title: string
  description?: string
  trigger: {
    operation: string
    blueprintIdentifier?: string
    userInputs: { properties: Record<string, InputDefinition>; required?: string[]; order?: string[] }
  }
  invocationMethod: { url: string; method: string; body: Json }
}

interface InputDefinition {
  type: string
  title?: string
  description?: string
  enum?: string[]
  default?: Json
  /** If `entity`, the input is the identifier of an entity with the blueprint in `blueprint`. */
  format?: string
  blueprint?: string
}

interface WebhookResponse {
  status: number
  body: JsonObject
}

/**
 * Sends the webhook that Port sends when a user runs an action: renders its body and signs it with the client secret.
 *
 * @param run a run whose `properties` are the inputs
 * @param relay the relay's origin; overrides the origin in the definition
 */
export async function sendWebhook(
  action: PortAction,
  run: PortRun,
  { relay, secret }: { relay: string; secret: string },
): Promise<WebhookResponse> {
  const { url, method, body } = action.invocationMethod
  const { pathname, search } = new URL(url)
  return postSigned(relay + pathname + search, method, renderBody(body, contextOf(action, run)), secret)
}

/** Returns the values that Port documents for expressions in an action. */
export function contextOf({ identifier, trigger }: PortAction, run: PortRun): JsonObject {
  const blueprint = trigger.blueprintIdentifier ?? null
  return {
    inputs: withEntities(run.properties as JsonObject, trigger.userInputs.properties),
    trigger: {
      by: { user: { email: 'ada@acme.example', firstName: 'Ada', lastName: 'Lovelace' } },
      ...{ origin: 'UI', at: new Date().toISOString(), operation: trigger.operation },
    },
    event: null,
    entity: run.entity ? entityOf(run.entity, blueprint) : {},
    action: { identifier, blueprint, encryptedProperties: [] },
    run: { id: run.id },
  }
}

const entityOf = (identifier: string, blueprint: string | null): JsonObject => ({
  ...{ identifier, title: identifier, blueprint, properties: {}, relations: {} },
})

/** Replaces the identifiers of entity inputs with the entities, as in Port's context. */
function withEntities(inputs: JsonObject, definitions: Record<string, InputDefinition>): JsonObject {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, value]) => {
      const { format, blueprint = null } = definitions[name] ?? {}
      return [name, format === 'entity' && typeof value === 'string' ? entityOf(value, blueprint) : value]
    }),
  )
}

/** Sends a webhook with Port's headers. */
export async function postSigned(
  url: string,
  method: string,
  content: Json,
  secret: string,
): Promise<WebhookResponse> {
  const body = JSON.stringify(content)
  const timestamp = String(Date.now())
  const signature = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('base64')
  const headers = {
    ...{ 'content-type': 'application/json', 'x-port-timestamp': timestamp },
    'x-port-signature': `v1,${signature}`,
  }
  const response = await fetch(url, { method, headers, body })
  return { status: response.status, body: (await response.json()) as JsonObject }
}
