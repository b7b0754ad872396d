import { isDeepStrictEqual } from 'node:util'
import { isEmpty } from '../../port/invocation/values.ts'
import { isObject, type JsonObject } from '../../port/types.ts'
import {
  EXAMPLE_RELAY,
  invocationMethod,
  placeholderNotes,
  RECOMMENDED_BODY,
  type Start,
} from '../generate/invocation-method.ts'
import { type PortAction, readPortActions } from '../generate/port-action.ts'
import { isComputed, toPortWorkflow } from '../generate/port-workflow.ts'

const AUTOMATION =
  'This automation stays unchanged, because only a self-service action becomes a Port workflow.'

/**
 * Converts Port actions (JSON or YAML) to Port actions or Port workflows that call the relay.
 * @returns the definitions, and messages about the parts that the user must check or complete
 * @throws Error with a message if an action can't be used
 */
export function migratePortActions(
  text: string,
  { relay, format = 'action' }: { relay?: string | undefined; format?: 'action' | 'workflow' | undefined },
): { definitions: JsonObject[]; notes: string[] } {
  const actions = readPortActions(text)
  const migrated = actions.map(given => {
    const { method, notes } = relayMethod(given.invocationMethod, relay)
    const action = { ...given, invocationMethod: method }
    const isKept = format === 'workflow' && given.trigger.type === 'automation'
    const made = format === 'workflow' && !isKept ? toPortWorkflow(action) : null
    const prefix = actions.length > 1 ? `${given.identifier}: ` : ''
    return {
      definition: made?.workflow ?? action,
      notes: [...notes, ...(made?.notes ?? []), ...(isKept ? [AUTOMATION] : [])].map(note => prefix + note),
    }
  })
  return {
    definitions: migrated.map(({ definition }) => definition),
    notes: migrated.flatMap(({ notes }) => notes),
  }
}

export function readStart({ invocationMethod: method }: Pick<PortAction, 'invocationMethod'>): Start {
  if (isOfGitHub(method)) {
    const { org, repo, workflow, workflowInputs } = backendOf(method)
    const repository = fixed(org) && fixed(repo) ? `${org}/${repo}` : null
    const ref = isObject(workflowInputs) ? fixed(workflowInputs.ref) : null
    return { event: 'workflow_dispatch', name: fixed(workflow), repository, ref }
  }
  const url = typeof method.url === 'string' ? URL.parse(method.url) : null
  const body = isObject(method.body) && isObject(method.body.github) ? method.body.github : {}
  const named = (name: string) => fixed(body[name]) ?? fixed(url?.searchParams.get(name))
  const inPath = /\/webhook\/([\w.-]+\/[\w.-]+)\/?$/.exec(url?.pathname ?? '')?.[1]
  const target = { repository: fixed(body.repository) ?? inPath ?? null, ref: named('ref') }
  const workflow = named('workflow')
  return workflow === null
    ? { event: 'repository_dispatch', name: named('event_type'), ...target }
    : { event: 'workflow_dispatch', name: workflow, ...target }
}

const isOfGitHub = ({ type, integrationActionExecutionProperties: properties }: JsonObject) =>
  type === 'GITHUB' || isObject(properties)

const backendOf = ({ integrationActionExecutionProperties: own, ...method }: JsonObject): JsonObject =>
  isObject(own) ? own : method

const fixed = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' && !isComputed(value) ? value : null

/**
 * Changes the action's webhook so that it calls the relay. If the webhook already calls the relay, keeps the address, body, RUN_ID
 * header, and agent setting. Otherwise, removes the headers and body, which can contain credentials.
 */
function relayMethod(old: JsonObject, relay?: string): { method: JsonObject; notes: string[] } {
  const current = relayOf(old)
  const isOwn = current !== null && (relay ?? current) === current
  const isWebhook = old.type === 'WEBHOOK'
  const target = readStart({ invocationMethod: old })
  const kept = isOwn && isObject(old.body) ? old.body : RECOMMENDED_BODY
  const body = isOfGitHub(old) ? bodyOfGitHub(old) : kept
  const headers = Object.entries(isObject(old.headers) ? old.headers : {})
  const read = isOwn ? headers.filter(([name]) => /^run_id$/i.test(name)) : []
  const method: JsonObject = {
    ...invocationMethod(relay ?? EXAMPLE_RELAY, target),
    ...(isOwn && { url: old.url!, agent: old.agent === true }),
    ...(read.length > 0 && { headers: Object.fromEntries(read) }),
    body,
  }
  const computed = isObject(body.github) ? body.github : {}
  const isComplete = (target.name ?? computed.workflow) && (target.repository ?? computed.repository)
  const removed = headers.filter(header => !read.includes(header)).map(([name]) => name)
  const notes = [
    ...placeholderNotes(method),
    !isOwn && !isComplete && 'The URL lacks the repository or the workflow: complete the URL.',
    ...(isOfGitHub(old) ? runIdNotes(body) : []),
    !['WEBHOOK', 'GITHUB', 'INTEGRATION_ACTION', undefined].some(type => type === old.type) &&
      `The settings of the action's old backend (${old.type}) were removed.`,
    ...['synchronized', 'agent', 'method']
      .filter(key => isWebhook && old[key] !== undefined && old[key] !== method[key])
      .map(key => `The webhook's "${key}" was changed from ${old[key]} to ${method[key]}.`),
    removed.length > 0 &&
      `The webhook's headers that the relay doesn't read were removed: ${removed.join(', ')}.`,
    isWebhook &&
      old.body !== undefined &&
      !isDeepStrictEqual(old.body, body) &&
      "The webhook's body was replaced with the body that the relay reads.",
  ]
  return { method, notes: notes.filter(note => typeof note === 'string') }
}

export function relayOf({ type, url: given }: JsonObject): string | null {
  const url = type === 'WEBHOOK' && typeof given === 'string' ? URL.parse(given) : null
  const path = /^(.*)\/webhook(?:\/[^/]+\/[^/]+)?\/?$/.exec(url?.pathname ?? '')
  return url && path ? `${url.origin}${path[1]}` : null
}

/** Returns the inputs for the workflow, and `github` with the settings that don't fit in the URL. */
export function bodyOfGitHub(method: JsonObject): JsonObject {
  const { org, repo, workflow, workflowInputs, reportWorkflowStatus = true } = backendOf(method)
  const given = Object.entries(isObject(workflowInputs) ? workflowInputs : {})
  // Port's GitHub backend reads the branch from the input `ref`. The input's key can be an expression: `{{ if … then "ref" else null end }}`.
  const isRef = (key: string) => key === 'ref' || (key.startsWith('{{') && /then\s+"ref"/.test(key))
  const refs = given.filter(([key, value]) => isRef(key) && !(key === 'ref' && fixed(value)))
  const github = {
    ...((isComputed(org) || isComputed(repo)) && { repository: `${org}/${repo}` }),
    ...(isComputed(workflow) && { workflow: workflow! }),
    ...Object.fromEntries(refs),
    ...(reportWorkflowStatus !== true && { reportWorkflowStatus }),
  }
  const inputs = Object.fromEntries(given.filter(([key]) => !isRef(key)))
  return {
    ...RECOMMENDED_BODY,
    ...(isObject(workflowInputs) && { inputs }),
    ...(!isEmpty(github) && { github }),
  }
}

/** Warns about inputs with a run ID other than the ID of the action's run. */
function runIdNotes({ inputs }: JsonObject): string[] {
  const ids = [...JSON.stringify(inputs).matchAll(/run_?id[\\"]*:[ \\"]*\{\{([^{}]*)\}\}/gi)]
  return ids
    .map(([, expression]) => expression!.trim())
    .filter(expression => expression !== '.run.id')
    .map(
      expression =>
        `The workflow gets the run ID {{ ${expression} }}, and reports to the Port run with this ID, but the relay reports to the Port run of the action.`,
    )
}
