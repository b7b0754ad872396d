import { isDeepStrictEqual } from 'node:util'
import { isEmpty } from '../../port/invocation/values.ts'
import { isObject, type Json, type JsonObject } from '../../port/types.ts'
import type { PortAction } from './port-action.ts'

/** A placeholder URL until the relay's own URL is known. */
export const EXAMPLE_RELAY = 'https://relay.example.com'

/** The target that a Port webhook starts. */
export interface Start {
  event: 'workflow_dispatch' | 'repository_dispatch'
  /** A workflow file or the event type; null for the action's identifier. */
  name: string | null
  repository: string | null
  ref?: string | null
}

/** Returns a webhook to the relay, with every body field that the relay uses. */
export function invocationMethod(relay: string, { event, name, repository, ref }: Start): JsonObject {
  const url = new URL(`${relay}/webhook${repository ? `/${repository}` : ''}`)
  if (name) url.searchParams.set(event === 'workflow_dispatch' ? 'workflow' : 'event_type', name)
  if (ref) url.searchParams.set('ref', ref)
  return {
    type: 'WEBHOOK',
    url: url.href,
    agent: false,
    synchronized: false,
    method: 'POST',
    body: RECOMMENDED_BODY,
  }
}

/** Returns the target of a Port action: of its webhook to the relay, or of Port's GitHub App or integration. */
export function readStart({ invocationMethod: method }: Pick<PortAction, 'invocationMethod'>): Start {
  const properties = method.integrationActionExecutionProperties
  if (method.type === 'GITHUB' || isObject(properties)) {
    const from = isObject(properties) ? properties : method
    const [org, repo] = [fixed(from.org), fixed(from.repo)]
    const repository = org && repo ? `${org}/${repo}` : null
    const ref = isObject(from.workflowInputs) ? fixed(from.workflowInputs.ref) : null
    return { event: 'workflow_dispatch', name: fixed(from.workflow), repository, ...(ref && { ref }) }
  }
  const url = typeof method.url === 'string' ? URL.parse(method.url) : null
  const body = isObject(method.body) && isObject(method.body.github) ? method.body.github : {}
  const workflow = fixed(body.workflow) ?? fixed(url?.searchParams.get('workflow'))
  const eventType = fixed(body.event_type) ?? fixed(url?.searchParams.get('event_type'))
  const inPath = /\/webhook\/([\w.-]+\/[\w.-]+)\/?$/.exec(url?.pathname ?? '')?.[1]
  const repository = fixed(body.repository) ?? inPath ?? null
  const ref = fixed(body.ref) ?? fixed(url?.searchParams.get('ref'))
  if (workflow || method.type !== 'WEBHOOK')
    return { event: 'workflow_dispatch', name: workflow, repository, ref }
  return { event: 'repository_dispatch', name: eventType, repository, ref }
}

/** Whether the value is text with an expression that Port evaluates. */
export const isComputed = (value: unknown) => typeof value === 'string' && value.includes('{{')

const fixed = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' && !isComputed(value) ? value : null

/** Values that override the action's values. */
export interface RelayOptions {
  event?: Start['event'] | undefined
  /** The relay's URL. */
  relay?: string | undefined
  repository?: string | undefined
}

/**
 * Returns an action's method with the relay as its backend. Removes another webhook's headers and body, because these
 * can contain credentials. If the webhook already calls a relay, keeps its body, its RUN_ID header, and Port's agent.
 *
 * @param target the workflow or event that the method starts
 * @returns the method, and a message for each value that was set or removed
 */
export function relayMethod(
  old: JsonObject,
  target: Start,
  options: RelayOptions,
): { method: JsonObject; notes: string[] } {
  const current = relayOf(old)
  const relay = options.relay ?? current ?? EXAMPLE_RELAY
  const isOwn = relay === current
  const isMoved = !isOwn || options.repository !== undefined || options.event !== undefined
  const made = invocationMethod(relay, { ...target, repository: options.repository ?? target.repository })
  const method: JsonObject = { ...made, url: isMoved ? made.url! : old.url! }
  const keepsBody = isOwn && typeof old.body === 'object'
  if (isOwn) method.agent = old.agent === true
  if (keepsBody)
    method.body = isMoved ? withoutTarget(old.body!, options.event !== 'repository_dispatch') : old.body!
  if (old.type !== 'WEBHOOK') {
    const keepsAll = ['GITHUB', 'INTEGRATION_ACTION', undefined].some(type => type === old.type)
    return {
      method,
      notes: keepsAll ? [] : [`The settings of the action's old backend (${old.type}) were removed.`],
    }
  }
  const given = Object.entries(isObject(old.headers) ? old.headers : {})
  const read = keepsBody ? given.filter(([name]) => /^run_id$/i.test(name)) : []
  if (read.length > 0) method.headers = Object.fromEntries(read)
  const removed = given.filter(header => !read.includes(header)).map(([name]) => name)
  const isReplaced = !keepsBody && old.body !== undefined && !isDeepStrictEqual(old.body, method.body)
  const notes = [
    ...['synchronized', 'agent', 'method']
      .filter(key => old[key] !== undefined && old[key] !== method[key])
      .map(key => `The webhook's "${key}" was changed from ${old[key]} to ${method[key]}.`),
    removed.length > 0 &&
      `The webhook's headers that the relay doesn't read were removed: ${removed.join(', ')}.`,
    isReplaced && "The webhook's body was replaced with the body that the relay reads.",
  ]
  return { method, notes: notes.filter(note => typeof note === 'string') }
}

/** Removes a body's target, because it would override the target in the URL. Keeps a branch that is an expression. */
function withoutTarget(body: Json, keepsRef: boolean): Json {
  if (!isObject(body)) return body
  const { github, ...rest } = body
  const ref = isObject(github) && keepsRef ? github.ref : undefined
  return ref === undefined || fixed(ref) ? rest : { ...rest, github: { ref } }
}

/**
 * Returns a body with the values from an action's GitHub backend: the workflow's inputs, and a repository, workflow, or
 * branch that isn't fixed text. Null if the backend has no such values.
 */
export function bodyOfGitHub({
  integrationActionExecutionProperties: properties,
  ...method
}: JsonObject): JsonObject | null {
  const { org, repo, workflow, workflowInputs } = isObject(properties) ? properties : method
  const target = {
    ...((isComputed(org) || isComputed(repo)) && { repository: `${org}/${repo}` }),
    ...(isComputed(workflow) && { workflow: workflow! }),
  }
  if (!isObject(workflowInputs)) return isEmpty(target) ? null : { ...RECOMMENDED_BODY, github: target }
  const { port_context, port_payload, ...all } = workflowInputs
  // Port's backend reads the branch from `ref`. The key can be an expression: `{{ if … then "ref" else null end }}`.
  const isRef = (key: string) => key === 'ref' || (key.startsWith('{{') && /then\s+"ref"/.test(key))
  const inputs = Object.fromEntries(Object.entries(all).filter(([key]) => !isRef(key)))
  const ref = Object.entries(all).find(([key]) => isRef(key))?.[1]
  // The relay passes these two to the workflow unchanged.
  const context = Object.entries({ port_context, port_payload }).filter(([, each]) => each !== undefined)
  const github = { ...target, ...(ref !== undefined && !fixed(ref) && { ref }) }
  return {
    ...RECOMMENDED_BODY,
    inputs,
    ...(!isEmpty(github) && { github }),
    ...Object.fromEntries(context),
  }
}

/** Returns the relay that a webhook calls; null if the URL isn't a relay's. */
function relayOf({ type, url: given }: JsonObject): string | null {
  const url = type === 'WEBHOOK' && typeof given === 'string' ? URL.parse(given) : null
  const path = /^(.*)\/webhook(?:\/[^/]+\/[^/]+)?\/?$/.exec(url?.pathname ?? '')
  return url && path ? `${url.origin}${path[1]}` : null
}

/**
 * The `body` of a Port action or automation that calls the relay. It has only the fields that the relay uses, including
 * only the user's name and email address. `event` is null for an action; `inputs` and `entity` are null for an
 * automation. Port accepts an object or an array as a body, never a string.
 *
 * @see https://docs.port.io/actions-and-automations/create-self-service-experiences/setup-the-backend#trigger-data
 */
export const RECOMMENDED_BODY: JsonObject = {
  run: { id: '{{ .run.id }}' },
  action: {
    identifier: '{{ .action.identifier }}',
    blueprint: '{{ .action.blueprint }}',
    encryptedProperties: '{{ .action.encryptedProperties }}',
  },
  inputs: '{{ .inputs }}',
  entity: '{{ .entity }}',
  event: '{{ .event }}',
  trigger: {
    operation: '{{ .trigger.operation }}',
    origin: '{{ .trigger.origin }}',
    at: '{{ .trigger.at }}',
    by: {
      user: {
        email: '{{ .trigger.by.user.email }}',
        firstName: '{{ .trigger.by.user.firstName }}',
        lastName: '{{ .trigger.by.user.lastName }}',
      },
    },
  },
}
