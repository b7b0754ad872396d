import { isDeepStrictEqual } from 'node:util'
import type { PortClient } from '../../port/client/client.ts'
import { PortError } from '../../port/client/errors.ts'
import { object } from '../../port/invocation/values.ts'
import { isObject, type JsonObject } from '../../port/types.ts'
import { merge, partsOf } from './merge.ts'
import { formOf, OF_PORT, readPortActions } from './port-action.ts'
import { toPortWorkflow } from './port-workflow.ts'
import type { Generated, ToActionOptions } from './to-action.ts'

export type Format = 'action' | 'workflow'

/** How a definition in Port must change to match a workflow file. */
export interface Plan {
  format: Format
  identifier: string
  /** The definition in Port; null if Port has none. */
  found: JsonObject | null
  definition: JsonObject
  differences: string[]
  notes: string[]
}

/** @see https://docs.port.io/workflows/build-workflows/self-service-trigger/ */
const ONLY_ADMINS = 'Until you set the permissions of its trigger in Port, only admins can run the workflow.'

/** The options that set something only in new definitions. */
const ONLY_NEW = ['approval', 'blueprint', 'operation'] as const

type Port = Pick<PortClient, 'request'>

/** The keys that Port accepts in requests. Port refuses other keys of its responses, such as `updatedAt`. */
const KEYS: Record<Format, string[]> = {
  action: [
    ...['identifier', 'title', 'icon', 'description', 'trigger', 'invocationMethod', 'requiredApproval'],
    ...['approvalNotification', 'publish', 'allowAnyoneToViewRuns'],
  ],
  workflow: [
    ...['identifier', 'title', 'icon', 'description', 'category', 'allowAnyoneToViewRuns', 'nodes'],
    'connections',
  ],
}

/** @param format by default, the format of the definition in Port, or `action` if Port has none @throws Error if the definition can't be changed */
export async function plan(
  port: Port,
  generated: Generated,
  {
    format,
    ...options
  }: ToActionOptions & { relay: string; publicUrl?: string | undefined; format?: Format | undefined },
): Promise<Plan> {
  const { action } = generated
  const created = { action, ...toPortWorkflow(action) }
  const found = {
    action: await read(port, 'action', action.identifier),
    workflow: await read(port, 'workflow', String(created.workflow.identifier)),
  }
  const chosen = format ?? (found.workflow && !found.action ? 'workflow' : 'action')
  const other = chosen === 'action' ? 'workflow' : 'action'
  const identifier = String(created[chosen].identifier)
  const all = { format: chosen, identifier, found: found[chosen] }
  if (all.found) {
    const settings = settingsOf(all.found)
    const fixed = ONLY_NEW.filter(name => options[name] && options[name] !== settings[name])
    if (fixed.length > 0)
      throw new Error(
        `${fixed.map(name => `--${name}`).join(', ')} can't change the existing ${chosen} ${identifier}: change the ${chosen} in Port.`,
      )
    const existing = definitionOf(chosen, all.found)
    const mergeWith = async ({ action, said }: Generated) =>
      merge(existing, chosen === 'action' ? action : toPortWorkflow(action).workflow, said, options)
    // If the workflow has both events, the definition in Port decides which one is used.
    const merged = await mergeWith(generated).catch(error =>
      mergeWith(generated.other ?? generated).catch(() => Promise.reject(error)),
    )
    return { ...all, ...merged, notes: [...merged.notes, ...lostIn(chosen, all.found)] }
  }
  if (found[other])
    throw new Error(
      `Port has the ${other} ${identifier}: pass --format ${other} to change it, or choose another --identifier.`,
    )
  const inputs = Object.keys(formOf(action).properties).join(', ')
  const differences = [`+ ${chosen} ${identifier}, with the inputs ${inputs || '(none)'}`]
  const notes = chosen === 'action' ? [] : [...created.notes, ONLY_ADMINS]
  return { ...all, definition: created[chosen], differences, notes }
}

/** Creates or updates the definition. @throws Error if the definition in Port has changed since the plan */
export async function apply(port: Port, { format, identifier, found, definition }: Plan): Promise<void> {
  if (!found) return void (await port.request('POST', `/v1/${format}s`, definition))
  if (!isDeepStrictEqual(await read(port, format, identifier), found))
    throw new Error(`The ${format} ${identifier} has just changed in Port: run the command again.`)
  await port.request('PUT', pathOf(format, identifier), definition)
}

function settingsOf(definition: JsonObject): Record<(typeof ONLY_NEW)[number], unknown> {
  const { trigger, requiredApproval, nodes } = definition
  if (!Array.isArray(nodes)) {
    const { operation, blueprintIdentifier: blueprint } = object(trigger)
    return { approval: Boolean(requiredApproval), blueprint, operation }
  }
  const bodies = partsOf(definition).webhooks.map(({ body }) => object(body))
  const own = bodies.find(({ action }) => isObject(action)) ?? {}
  const approval = nodes.some(node => object(object(node).config).type === 'INPUT')
  return { approval, blueprint: object(own.action).blueprint, operation: object(own.trigger).operation }
}

const pathOf = (format: Format, identifier: string) => `/v1/${format}s/${encodeURIComponent(identifier)}`

async function read(port: Port, format: Format, identifier: string): Promise<JsonObject | null> {
  try {
    return object(object(await port.request('GET', pathOf(format, identifier)))[format])
  } catch (error) {
    if (error instanceof PortError && error.kind === 'refused' && error.status === 404) return null
    throw error
  }
}

/** Lists the settings that Port returns, but doesn't accept in requests. */
function lostIn(format: Format, found: JsonObject): string[] {
  const known = [...KEYS[format], ...OF_PORT]
  const lost = Object.keys(found).filter(key => !known.includes(key) && found[key] !== null)
  return lost.length > 0
    ? [
        `generate --apply doesn't send these settings: ${lost.join(', ')}. Check them in Port after the update.`,
      ]
    : []
}

/** Removes from a definition the settings that Port doesn't accept in requests. */
function definitionOf(format: Format, found: JsonObject): JsonObject {
  const given = format === 'action' ? readPortActions(JSON.stringify(found))[0]! : found
  return Object.fromEntries(
    Object.entries(given).filter(([key, value]) => KEYS[format].includes(key) && value !== null),
  )
}
