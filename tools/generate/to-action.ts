import { basename } from 'node:path'
import { isObject, type JsonObject } from '../../port/types.ts'
import { apply, readComments } from './comments.ts'
import { fromGitHubInput, isOwnPort, OFFERED, titleOf } from './github-input.ts'
import type { RelayOptions, Start } from './invocation-method.ts'
import { EXAMPLE_RELAY, invocationMethod, relayMethod } from './invocation-method.ts'
import type { PortAction, Property } from './port-action.ts'
import { readWorkflow, type WorkflowFile } from './read-workflow.ts'

/** Values that override those from the workflow and its comments. */
export interface ToActionOptions extends RelayOptions {
  identifier?: string | undefined
  blueprint?: string | undefined
  operation?: string | undefined
}

/**
 * Returns the Port action that starts a workflow.
 *
 * @param file the workflow's path; its last segment is the name on GitHub
 * @returns the action, and messages on what to check or complete
 * @throws Error with a message if Port can't start the workflow
 */
export function toAction(
  yaml: string,
  file: string,
  options: ToActionOptions = {},
): { action: PortAction; notes: string[] } {
  const workflow = readWorkflow(yaml, file)
  const comments = readComments(yaml)
  const about = Object.assign(
    {},
    ...comments.filter(({ kind }) => kind === 'port-action').map(({ value }) => value),
  )
  const {
    trigger,
    userInputs,
    invocationMethod: method,
    identifier: commented,
    ...changed
  } = about as JsonObject
  const event = chooseEvent(workflow, file, options.event)
  const types = event === 'repository_dispatch' ? eventTypes(workflow.on) : []
  const named = options.identifier ?? (typeof commented === 'string' ? commented : null)
  const type = named && types.includes(named) ? named : types[0]
  if (types.length > 1 && !named) {
    throw new Error(
      `${file} listens to several event types: choose one with --identifier: ${types.join(', ')}.`,
    )
  }
  const identifier =
    named ??
    type ??
    basename(file)
      .replace(/\.ya?ml$/, '')
      .replace(/[^A-Za-z0-9@_.+:\\/=-]+/g, '_')
  const { properties, required, order } = readInputs(workflow, event, comments)
  const name = event === 'workflow_dispatch' ? basename(file) : type && type !== identifier ? type : null
  const target = { event, name, repository: null }
  const commentedMethod = apply(invocationMethod(EXAMPLE_RELAY, target), object(method))
  const made = relayMethod(commentedMethod, target, {
    relay: options.relay,
    repository: options.repository,
  })
  const action: PortAction = {
    identifier,
    about: apply(
      {
        title: workflow.name ?? titleOf(identifier),
        ...(workflow.description && { description: workflow.description }),
        requiredApproval: false,
      },
      changed,
    ),
    trigger: {
      ...apply({ type: 'self-service', operation: usesEntity(yaml) ? 'DAY-2' : 'CREATE' }, object(trigger)),
      ...(options.operation && { operation: options.operation }),
      ...(options.blueprint && { blueprintIdentifier: options.blueprint }),
    },
    properties,
    userInputs: userInputs === null ? null : apply({ required, order }, object(userInputs)),
    invocationMethod: made.method,
  }
  return { action, notes: [...notes(workflow, event, file, action), ...made.notes] }
}

function chooseEvent(workflow: WorkflowFile, file: string, wanted?: Start['event']): Start['event'] {
  const possible = (['workflow_dispatch', 'repository_dispatch'] as const).filter(
    event => event in workflow.on,
  )
  if (wanted && !possible.includes(wanted)) throw new Error(`${file} has no trigger ${wanted}.`)
  const event = wanted ?? possible[0]
  if (event) return event
  throw new Error(
    `${file} is started by ${Object.keys(workflow.on).join(', ')}: add workflow_dispatch or repository_dispatch, so that Port can start it.`,
  )
}

function eventTypes(on: JsonObject): string[] {
  const { types } = object(on.repository_dispatch)
  return [types].flat().filter(type => typeof type === 'string')
}

/** Returns declared inputs and inputs that only comments contain, in the order of the text. */
function readInputs(
  { inputs, usedInputs }: WorkflowFile,
  event: Start['event'],
  comments: ReturnType<typeof readComments>,
): { properties: Record<string, Property>; required: string[]; order: string[] } {
  const declared =
    event === 'workflow_dispatch' ? inputs.filter(({ name }) => !['port', ...OFFERED].includes(name)) : []
  const noted = comments
    .filter(({ kind }) => kind === 'port-input')
    .flatMap(({ value, at }) =>
      Object.entries(value).map(([name, changed]) => ({ name, changed: object(changed), at })),
    )
  const places = new Map([...noted, ...declared].map(({ name, at }) => [name, at]))
  const placed = [...places].sort(([, a], [, b]) => a - b).map(([name]) => name)
  const used = noted.length === 0 ? usedInputs : []
  const names = [...new Set([...placed, ...used])]
  const read = names.map(name => {
    const { property, required } = fromGitHubInput(name, declared.find(each => each.name === name)?.input)
    const changed = noted.find(each => each.name === name)?.changed ?? {}
    return { name, required, property: apply(property, changed) as Property }
  })
  return {
    properties: Object.fromEntries(read.map(({ name, property }) => [name, property])),
    required: read.filter(each => each.required).map(({ name }) => name),
    order: names,
  }
}

/** Only day-2 and delete actions have an entity. */
const usesEntity = (yaml: string) =>
  /\bsteps\.[\w-]+\.outputs\.entity\b/.test(yaml) ||
  /\b(client_payload|inputs\.port( \|\| '\{\}')?\))\.port\.entity\b/.test(yaml)

function notes(workflow: WorkflowFile, event: Start['event'], file: string, action: PortAction): string[] {
  const environments = workflow.inputs.filter(({ input }) => object(input).type === 'environment')
  const { url } = action.invocationMethod
  return [
    String(url).startsWith(EXAMPLE_RELAY) &&
      `Replace ${EXAMPLE_RELAY} with the address of your relay, or pass --relay.`,
    event === 'workflow_dispatch' &&
      workflow.usesAction &&
      !workflow.inputs.some(({ name }) => name === 'port') &&
      `${file} declares no input "port" (type: string): without it, the action doesn't know the run in Port.`,
    event === 'workflow_dispatch' &&
      workflow.inputs.some(({ name, input }) => name === 'port' && isOwnPort(input)) &&
      `${file} declares its own input "port", but the relay sends its payload in "port": rename the workflow's input.`,
    !workflow.usesAction &&
      `${file} does not use port-webhook-action: the relay finishes the run in Port when the workflow finishes. To show steps and log lines in Port, add the action${event === 'workflow_dispatch' ? ' and the input "port"' : ''}.`,
    action.trigger.type === 'self-service' &&
      action.trigger.operation !== 'CREATE' &&
      action.trigger.blueprintIdentifier === undefined &&
      `The operation of the action is ${action.trigger.operation}: pass the blueprint with --blueprint NAME.`,
    ...(event === 'workflow_dispatch' ? environments : []).map(
      ({ name }) =>
        `The input ${name} has the type environment on GitHub. Port has no such type, so the input is a text.`,
    ),
  ].filter(note => typeof note === 'string')
}

const object = (value: unknown): JsonObject => (isObject(value) ? value : {})
