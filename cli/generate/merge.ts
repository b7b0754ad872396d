import { isDeepStrictEqual } from 'node:util'
import { readInvocation } from '../../port/invocation/invocation.ts'
import { object, without } from '../../port/invocation/values.ts'
import { isObject, type Json, type JsonObject } from '../../port/types.ts'
import { Problem } from '../../relay/http/problem.ts'
import { createTargets, readAddress } from '../../relay/intake/target.ts'
import { renderBody } from '../../workflow-files/render-body.ts'
import { EXAMPLE_RELAY } from './invocation-method.ts'
import { given } from './port-action.ts'

/** The contents of a workflow file that affect the form in Port. */
export interface Said {
  /** The inputs of `workflow_dispatch`; null for `repository_dispatch`, which declares no inputs. */
  declared: string[] | null
  optional: string[]
}

/**
 * Changes the definition of a Port action or a Port workflow to match a workflow file. Keeps all other settings.
 * @param at the relay's address in the generated definition, and a second address that the definition in Port can have
 * @returns the definition, a line per difference, and notes for the user
 * @throws Error if the definition in Port has another target, or if its body isn't the generated one
 */
export function merge(existing: JsonObject, generated: JsonObject, said: Said, at: RelayAddresses) {
  const { relay } = at
  const { identifier } = existing
  const readHere = (webhook: JsonObject) => read(webhook, identifier, at)
  const ours = partsOf(generated)
  const { method, synchronized, onTimeout, agent, body } = ours.webhooks[0]!
  const target = readHere(ours.webhooks[0]!)!.target
  const definition = structuredClone(existing)
  const { forms, webhooks } = partsOf(definition)
  const found = webhooks.map(readHere)
  const same = webhooks.filter((_, i) => found[i] && textOf(found[i].target) === textOf(target))
  const [webhook] = same
  if (!webhook) {
    const started = found.flatMap(each => (each ? textOf(each.target) : [])).join(', ')
    const wanted = `${textOf(target)}${target.repository ? '' : ' without a repository'}`
    throw new Error(
      `In Port, ${identifier} starts ${started || `nothing at ${relay}`}, not ${wanted}: change its webhook to the one that generate prints, or choose another --identifier or --repository.`,
    )
  }
  if (same.length > 1 || forms.length > 1)
    throw new Error(
      `The workflow ${identifier} in Port has several ${forms.length > 1 ? 'forms' : `webhook nodes that start ${textOf(target)}`}, so generate can't change this workflow: change the workflow in Port.`,
    )
  const before = readHere(webhook)!
  const complete = { ...webhook, body: { ...object(body), ...object(webhook.body) } }
  // The generated keys are added, unless they change the inputs that the relay reads.
  const isComplete = isDeepStrictEqual(readHere(complete), before)
  const url = String(webhook.url).replace(before.base, relay)
  Object.assign(webhook, isComplete && complete, { url, method, synchronized, ...given({ onTimeout }) })
  if (agent === true) webhook.agent = true
  const notes: string[] = []
  const [trigger] = forms
  if (trigger) {
    const mapped = Object.keys(object(object(webhook.body).inputs))
    const form = object(trigger.userInputs)
    const merged = mergeForm(form, object(ours.forms[0]?.userInputs), { said, mapped, notes, definition })
    const names = [form, merged].flatMap(({ properties }) => Object.keys(object(properties)))
    const changed = names.filter(name => names.indexOf(name) === names.lastIndexOf(name))
    if (changed.length > 0 && !isComplete)
      throw new Error(
        `In Port, the body of ${identifier} isn't the body that generate prints, so generate can't add or remove the inputs ${changed.join(', ')}: change the form and the body in Port, or use the generated body.`,
      )
    if (names.length > 0) trigger.userInputs = merged
  }
  const lost = agent === true ? notPolled({ forms, webhooks: [webhook] }) : []
  if (lost.length > 0)
    throw new Error(
      `Port doesn't send ${lost.join(', ')} to an agent that polls: remove what ${identifier} can't send, or omit --agent.`,
    )
  return { definition, differences: differencesOf(existing, definition), notes }
}

/** Returns the parts to change in a definition: its webhooks and its forms. If an event starts the run, there is no form. */
export function partsOf({ nodes, trigger, invocationMethod }: JsonObject) {
  const parts = Array.isArray(nodes) ? nodes.map(node => object(node).config) : [trigger, invocationMethod]
  const ofType = (...types: string[]) => parts.map(object).filter(({ type }) => types.includes(String(type)))
  return { forms: ofType('self-service', 'SELF_SERVE_TRIGGER'), webhooks: ofType('WEBHOOK') }
}

/**
 * Lists the parts of a definition that Port doesn't send to an agent that polls.
 * @see https://docs.port.io/workflows/build-workflows/nodes/action-nodes/port-execution-agent/
 */
export function notPolled({ forms, webhooks }: ReturnType<typeof partsOf>): string[] {
  const inputs = forms.flatMap(({ userInputs }) => Object.entries(object(object(userInputs).properties)))
  const secret = inputs.filter(([, input]) => object(input).encryption !== undefined)
  return [
    ...secret.map(([name]) => `the secret input ${name}`),
    ...(/\{\{[^{}]*\.secrets\b/.test(JSON.stringify(webhooks))
      ? ['the organization secrets (.secrets)']
      : []),
  ]
}

type RelayAddresses = { relay: string; publicUrl?: string | undefined }

/** A sample value, formatted like a run id, for an expression that has no value in the context. */
const SAMPLE = 'r_EXPRESSION'
const chooseTarget = createTargets({ repository: 'any/any', allowed: ['**'], routes: [] })

/**
 * Reads a webhook in a definition as the relay does. Returns null if the webhook has another address, or if the relay
 * would refuse the webhook.
 */
function read(
  { url, body }: JsonObject,
  identifier: Json | undefined,
  { relay, publicUrl = relay }: RelayAddresses,
) {
  const address = URL.parse(String(url))?.href ?? ''
  const base = [relay, EXAMPLE_RELAY, publicUrl].find(each =>
    /^\/webhook(\/|\?|$)/.test(address.replace(each, '')),
  )
  if (base === undefined) return null
  const isEmpty = JSON.stringify(body ?? {}) === '{}'
  const context = { action: { identifier: identifier! }, inputs: { input: SAMPLE } }
  const invocation = readInvocation(renderBody(isEmpty ? '{{ . }}' : body!, context, () => SAMPLE))
  try {
    const { url: named } = readAddress(address.replace(base, 'https://relay'))
    const { from, rerunAt: _, ...target } = chooseTarget(invocation, named)
    const repository = from === 'default' ? null : target.repository
    return { base, target: { ...target, repository }, inputs: invocation.inputs }
  } catch (error) {
    if (error instanceof Problem) return null
    throw error
  }
}

type Target = NonNullable<ReturnType<typeof read>>['target']

/** Describes a target without its branch. */
const textOf = ({ workflow, eventType, repository }: Target) =>
  `${workflow ?? `the event type ${eventType}`}${repository ? ` in ${repository}` : ''}`

/** `mapped`: the names in `inputs` of the body, which can differ from the names in the form. */
function mergeForm(
  existing: JsonObject,
  generated: JsonObject,
  context: { said: Said; mapped: string[]; notes: string[]; definition: JsonObject },
): JsonObject {
  const { said, mapped, notes, definition } = context
  const [before, wanted] = [object(existing.properties), object(generated.properties)]
  const others = Object.keys(before).filter(
    name => !Object.hasOwn(wanted, name) && !said.declared?.includes(name),
  )
  const removed = said.declared ? unused(others, { properties: existing.properties, definition }) : []
  const added = Object.keys(wanted).filter(name => !Object.hasOwn(before, name) && !mapped.includes(name))
  const list = (names: Json | undefined) => (Array.isArray(names) ? names.map(String) : [])
  const remaining = (names: Json | undefined) => list(names).filter(name => !removed.includes(name))
  const merged = Object.entries(before)
    .filter(([name]) => !removed.includes(name))
    .map(([name, input]) => [name, Object.hasOwn(wanted, name) ? mergeInput(input, wanted[name]) : input])
  const properties = Object.fromEntries([...merged, ...added.map(name => [name, wanted[name]])])
  const required = [
    ...remaining(existing.required).filter(name => !said.optional.includes(name)),
    ...list(generated.required).filter(name => Object.hasOwn(properties, name)),
  ]
  const tell = (names: string[], sentence: string) =>
    names.length > 0 && notes.push(`${sentence}: ${names.join(', ')}.`)
  tell(remaining(others), "The workflow doesn't read these inputs")
  if (existing.steps) tell(added, 'In Port, add these inputs to one of the steps of the form')
  if (mapped.length > 0) tell(added, 'In Port, add these inputs to "inputs" in the body')
  return {
    ...existing,
    properties,
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

/** The settings that inputs of every type can have. */
const ANY_TYPE = ['title', 'icon', 'description', 'visible', 'dependsOn']

/** A string input without options accepts any text on GitHub, so it matches every type in Port. */
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

/** Returns the names that appear nowhere in the definition except in the form's lists of inputs. */
function unused(names: string[], form: { properties: Json | undefined; definition: JsonObject }): string[] {
  const rest = JSON.stringify(form.definition, (key, value) => {
    if (value === form.properties) return without(object(value), ...names)
    const isList = Array.isArray(value) && ['order', 'required'].includes(key)
    return isList ? value.filter(each => !names.includes(each)) : value
  }).replace(/\\./g, ' ')
  const left = names.filter(name => !new RegExp(`(?<!\\w)${name.replace(/\W/g, '\\$&')}(?!\\w)`).test(rest))
  return left.length === names.length ? left : unused(left, form)
}

/** Returns a line per value: `+` for an added value, `-` for a removed value, `~` for a changed value. */
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

/** Converts a list of nodes to an object by identifier. Other lists are compared as a whole. */
const byIdentifier = (items: Json[]): Json =>
  items.every(item => typeof object(item).identifier === 'string')
    ? Object.fromEntries(items.map(item => [String(object(item).identifier), item]))
    : items
