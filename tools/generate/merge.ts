import { isDeepStrictEqual } from 'node:util'
import { firstText, object } from '../../port/invocation/values.ts'
import { isObject, type Json, type JsonObject } from '../../port/types.ts'

/** What a workflow file says about the form in Port. */
export interface Said {
  /** Whether the file declares every input (`workflow_dispatch`). Otherwise, only those that it reads are known. */
  isComplete: boolean
  /** The inputs that the file declares as not required. */
  optional: string[]
}

/** The objects within a definition that are merged. */
interface Parts {
  /** Has `userInputs`; null if an event starts the run. */
  trigger: JsonObject | null
  webhook: JsonObject
}

/**
 * Merges what a workflow file says into the definition of a Port action or a Port workflow. All else in Port stays.
 * @returns the definition, one line per difference, and what the user should know
 * @throws Error if the definition in Port starts something else
 */
export function merge(existing: JsonObject, generated: JsonObject, said: Said) {
  const ours = partsOf(generated)
  const definition = structuredClone(existing)
  const { trigger, webhook } = partsOf(definition, targetOf(ours.webhook))
  const notes: string[] = []
  if (trigger) {
    const mapped = Object.keys(object(object(webhook.body).inputs))
    const context = { said, mapped, notes, isUsed: (name: string) => isUsed(name, existing) }
    trigger.userInputs = mergeForm(object(trigger.userInputs), object(ours.trigger?.userInputs), context)
  }
  Object.assign(webhook, mergeWebhook(webhook, ours.webhook))
  const { workflow, event_type, repository } = object(object(webhook.body).github)
  if (firstText(workflow, event_type, repository) && !isSame(targetOf(webhook), targetOf(ours.webhook)))
    throw new Error(
      `In Port, the body of ${existing.identifier} names another target in "github", which wins over the URL: change it in Port.`,
    )
  return { definition, differences: differencesOf(existing, definition), notes }
}

/** @param target what the webhook of a workflow's node must start; anything by default */
function partsOf(definition: JsonObject, target: Target | null = null): Parts {
  const { identifier, nodes } = definition
  if (!Array.isArray(nodes)) {
    const [trigger, webhook] = [object(definition.trigger), object(definition.invocationMethod)]
    if (targetOf(webhook)) return { trigger: trigger.type === 'self-service' ? trigger : null, webhook }
    throw new Error(
      `The action ${identifier} in Port has another backend than a relay: choose another --identifier, or convert the action with migrate --port-action.`,
    )
  }
  const configs = nodes.map(node => object(object(node).config))
  const triggers = configs.filter(({ type }) => type === 'SELF_SERVE_TRIGGER')
  const webhooks = configs.filter(config => isSame(targetOf(config), target))
  const [webhook] = webhooks
  if (webhook && webhooks.length === 1 && triggers.length < 2)
    return { trigger: triggers[0] ?? null, webhook }
  const what = [target?.repository, target?.name].filter(Boolean).join(' ')
  throw new Error(
    webhooks.length === 0
      ? `No webhook node of the workflow ${identifier} in Port starts ${what}: add the node that generate --format workflow prints, or choose another --identifier.`
      : `The workflow ${identifier} in Port has several ${triggers.length > 1 ? 'forms' : `webhook nodes that start ${what}`}: change it in Port.`,
  )
}

type Target = { repository: string | null; name: string | null }

/** Returns the repository, and the workflow or event type, that a webhook to a relay names; null for another backend. */
function targetOf({ type, url, body }: JsonObject): Target | null {
  const { pathname = '', searchParams } = URL.parse(String(url)) ?? {}
  const [isRelay, path] = /\/webhook(?:\/([^/]+\/[^/]+))?$/.exec(pathname) ?? []
  if (type !== 'WEBHOOK' || !isRelay) return null
  const { github, action } = object(body)
  const { repository, workflow, event_type } = object(github)
  const inUrl = ['workflow', 'event_type'].map(name => searchParams?.get(name))
  return {
    repository: firstText(repository, path),
    name: firstText(workflow, event_type, ...inUrl, object(action).identifier),
  }
}

/** If only one of the two names a repository, RELAY_REPOSITORY names that of the other. */
function isSame(found: Target | null, target: Target | null): boolean {
  if (!found || !target) return found !== null
  const [one, other] = [found.repository, target.repository].map(name => name?.toLowerCase())
  return found.name === target.name && (one === other || !one || !other)
}

/** Returns the keys of a webhook that are ours. The branch (`ref`) isn't: no workflow file says it. */
function mergeWebhook(existing: JsonObject, { url, method, synchronized, body }: JsonObject): JsonObject {
  const [before, { github, ...ours }] = [object(existing.body), object(body)]
  const settings = { ...object(before.github), ...object(github) }
  const address = new URL(String(url))
  const ref = URL.parse(String(existing.url))?.searchParams.get('ref')
  if (ref) address.searchParams.set('ref', ref)
  return {
    ...{ url: address.href, method: method!, synchronized: synchronized! },
    body: { ...ours, ...before, ...(Object.keys(settings).length > 0 && { github: settings }) },
  }
}

interface FormContext {
  said: Said
  /** The names of the workflow's inputs that the body fills by expressions. The form's inputs have other names. */
  mapped: string[]
  notes: string[]
  isUsed: (name: string) => boolean
}

function mergeForm(existing: JsonObject, generated: JsonObject, context: FormContext): JsonObject {
  const { said, mapped, notes, isUsed } = context
  const [before, wanted] = [object(existing.properties), object(generated.properties)]
  const others = Object.keys(before).filter(name => !Object.hasOwn(wanted, name))
  const removed = said.isComplete ? others.filter(name => !isUsed(name)) : []
  const added = Object.keys(wanted).filter(name => !Object.hasOwn(before, name) && !mapped.includes(name))
  const list = (names: Json | undefined) => (Array.isArray(names) ? names.map(String) : [])
  const remaining = (names: Json | undefined) => list(names).filter(name => !removed.includes(name))
  const merged = Object.entries(before)
    .filter(([name]) => !removed.includes(name))
    .map(([name, input]) => [name, Object.hasOwn(wanted, name) ? mergeInput(input, wanted[name]) : input])
  const required = [
    ...remaining(existing.required).filter(name => !said.optional.includes(name)),
    ...list(generated.required).filter(name => !mapped.includes(name)),
  ]
  const tell = (names: string[], sentence: string) =>
    names.length > 0 && notes.push(`${sentence}: ${names.join(', ')}.`)
  tell(remaining(others), 'Not read by the workflow')
  if (existing.steps) tell(added, 'Add to a step of the form')
  if (mapped.length > 0) tell(added, 'Add to "inputs" in the body')
  return {
    ...existing,
    properties: Object.fromEntries([...merged, ...added.map(name => [name, wanted[name]])]),
    ...(!isQuery(existing.required) &&
      (existing.required ?? required[0]) !== undefined && { required: [...new Set(required)] }),
    ...(Array.isArray(existing.order) && { order: [...remaining(existing.order), ...added] }),
    ...(Array.isArray(existing.steps) && {
      steps: existing.steps.map(object).map(({ order, ...step }) => ({
        ...step,
        ...(order !== undefined && { order: remaining(order) }),
      })),
    }),
  }
}

/** What inputs of every type can have. */
const ANY_TYPE = ['title', 'icon', 'description', 'visible', 'dependsOn']

/** On GitHub, a string without options can be any text, so it fits every type in Port. */
function mergeInput(input: Json | undefined, generated: Json | undefined): JsonObject {
  const [existing, wanted] = [object(input), object(generated)]
  const { type, enum: options, default: value } = wanted
  const isType = existing.type === type
  if (!isType && (type !== 'string' || options !== undefined)) {
    const kept = Object.entries(existing).filter(([key]) => ANY_TYPE.includes(key))
    return { ...wanted, ...Object.fromEntries(kept) }
  }
  return {
    ...existing,
    ...(options !== undefined && !isQuery(existing.enum) && { enum: options }),
    ...(value !== undefined && isType && !isQuery(existing.default) && { default: value }),
  }
}

const isQuery = (value: unknown) => isObject(value) && 'jqQuery' in value

/** Whether an expression, or the menu of an entity, reads an input of the form. */
function isUsed(name: string, definition: JsonObject): boolean {
  const escaped = JSON.stringify(name).slice(1, -1).replace(/\W/g, '\\$&')
  const read = `(?:inputs|trigger|form)(?:\\\\"\\])?(?:\\.|\\[\\\\")${escaped}(?![\\w@=-])`
  return new RegExp(`${read}|del\\(\\.${escaped}\\)|"userInput":"${escaped}"`).test(
    JSON.stringify(definition),
  )
}

/** One line per value: `+` is added, `-` is removed, `~` changes. */
function differencesOf(before: Json | undefined, after: Json | undefined, path: string[] = []): string[] {
  if (isDeepStrictEqual(before, after)) return []
  const [old, now] = [before, after].map(value => (Array.isArray(value) ? byIdentifier(value) : value))
  if (isObject(old) && isObject(now))
    return [...new Set([...Object.keys(old), ...Object.keys(now)])].flatMap(key =>
      differencesOf(old[key], now[key], [...path, key]),
    )
  const [from, to] = [before, after].map(value => JSON.stringify(value))
  const where = path.join('.')
  if (before === undefined) return [`+ ${where}: ${to}`]
  return [after === undefined ? `- ${where}: ${from}` : `~ ${where}: ${from} → ${to}`]
}

/** Nodes. The items of other lists have no path of their own. */
const byIdentifier = (items: Json[]): Json =>
  items.every(item => typeof object(item).identifier === 'string')
    ? Object.fromEntries(items.map(item => [String(object(item).identifier), item]))
    : items
