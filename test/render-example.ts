import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parse } from 'yaml'
import { readInvocation } from '../port/invocation/invocation.ts'
import type { Invocation, Json, JsonObject } from '../port/types.ts'
import { renderBody } from '../workflow-files/render-body.ts'

export const root = join(import.meta.dirname, '..')
export const RUN_ID = 'r_Q0YotCZMKxDLdlaU'

interface Definition {
  identifier: string
  trigger: {
    operation: string
    blueprintIdentifier?: string
    userInputs: { properties: Record<string, JsonObject>; required: string[]; order: string[] }
  }
  invocationMethod: {
    type: string
    url: string
    agent: boolean
    synchronized: boolean
    method: string
    headers?: JsonObject
    body: Json
  }
}

export const text = (file: string) => readFileSync(join(root, file), 'utf8')
export const definition = (file: string) => JSON.parse(text(file)) as Definition
/** Returns the workflow that the Port action names, or else the workflow in the same folder. */
export function workflowOf(file: string): string {
  const named = new URL(definition(file).invocationMethod.url).searchParams.get('workflow')
  return named ? join(dirname(file), named) : globSync(`${dirname(file)}/*.yml`, { cwd: root })[0]!
}
export const parsed = (file: string) => parse(text(file))

export const typed: Record<string, JsonObject> = {
  deploy_service: { service: 'shop', version: '1.4.2', environment: 'staging', replicas: 2 },
  release_service: {
    ...{ service: 'shop', version: '1.4.2', target: 'staging', strategy: 'blue-green' },
    ...{ replicas: 2, dry_run: false, notes: null },
  },
  deploy: { version: '1.4.2', environment: 'staging' },
  restart_service: { reason: 'it leaks' },
  scaffold_service: { name: 'cart', template: 'template-node', about: 'Keeps the cart' },
}
export const entity = {
  identifier: 'shop',
  title: 'Shop',
  blueprint: 'service',
  properties: { namespace: 'web' },
}

/** The context that Port uses to render an action's body. */
function contextOf({ identifier, trigger }: Definition): JsonObject {
  return {
    inputs: Object.fromEntries(
      Object.entries(typed[identifier]!).map(([name, value]) => {
        const { format, blueprint } = trigger.userInputs.properties[name] ?? {}
        return [name, format === 'entity' ? { ...entity, identifier: value!, blueprint: blueprint! } : value!]
      }),
    ),
    trigger: {
      by: { user: { email: 'ada@acme.example', firstName: 'Ada', lastName: 'Lovelace', phoneNumber: '1' } },
      origin: 'UI',
      at: '2026-11-01T10:00:00.000Z',
      operation: trigger.operation,
    },
    event: null,
    entity: trigger.operation === 'CREATE' ? {} : entity,
    action: { identifier, blueprint: trigger.blueprintIdentifier ?? null, encryptedProperties: [] },
    run: { id: RUN_ID },
  }
}

/** Returns the invocation that the relay reads from Port's webhook. */
export function invocationOf(file: string): Invocation {
  const action = definition(file)
  const { body, headers = {} } = action.invocationMethod
  const context = contextOf(action)
  const { RUN_ID } = renderBody(headers, context) as { RUN_ID: string }
  return readInvocation(renderBody(body, context), RUN_ID)
}
