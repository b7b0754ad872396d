import { basename } from 'node:path'
import { object } from '../../port/invocation/values.ts'
import { isObject, type Json } from '../../port/types.ts'
import { contextNotes, OFFERED_INPUTS } from '../../workflow-files/reads.ts'
import { eventTypes } from '../../workflow-files/triggers.ts'
import { EXAMPLE_RELAY, invocationMethod, placeholderNotes, type Start } from './invocation-method.ts'
import type { Said } from './merge.ts'
import type { PortAction, Property } from './port-action.ts'
import { readWorkflow, type WorkflowFile } from './read-workflow.ts'

export interface ToActionOptions {
  event?: Start['event'] | undefined
  relay?: string | undefined
  repository?: string | undefined
  identifier?: string | undefined
  blueprint?: string | undefined
  operation?: string | undefined
  approval?: boolean | undefined
  /** Whether Port's agent delivers the webhook. */
  agent?: boolean | undefined
  /** Whether to use workflows that GitHub's parser rejects, because the parser can be wrong. */
  'allow-invalid'?: boolean | undefined
}

/** Thrown if the workflow has no event that the relay can send. */
export class NotStartable extends Error {}

export interface Generated {
  action: PortAction
  said: Said
  notes: string[]
  /** If the workflow has two events and the user chose none, the action for the second event. */
  other?: Generated
}

/** Returns the Port action that starts a workflow, and notes for the user. @throws Error if Port can't start the workflow */
export function toAction(yaml: string, file: string, options: ToActionOptions = {}): Generated {
  const workflow = readWorkflow(yaml, file)
  const event = chooseEvent(workflow, file, options.event)
  const listed = event === 'repository_dispatch' ? eventTypes(workflow.on) : null
  const types = Array.isArray(listed) ? listed : []
  const type = types.find(each => each === options.identifier) ?? types[0]
  if (types.length > 1 && !options.identifier) {
    throw new Error(
      `${file} listens to several event types: choose one with --identifier: ${types.join(', ')}.`,
    )
  }
  const identifier =
    options.identifier ??
    type ??
    basename(file)
      .replace(/\.ya?ml$/, '')
      .replace(/[^A-Za-z0-9@_.+:\\/=-]+/g, '_')
  const name = event === 'workflow_dispatch' ? basename(file) : type && type !== identifier ? type : null
  const { operation = workflow.usesEntity ? 'DAY-2' : 'CREATE', relay = EXAMPLE_RELAY } = options
  const action: PortAction = {
    identifier,
    title: workflow.name ?? titleOf(identifier),
    ...(workflow.description && { description: workflow.description }),
    trigger: {
      ...{ type: 'self-service', operation, userInputs: readInputs(workflow, event) },
      ...(options.blueprint && { blueprintIdentifier: options.blueprint }),
    },
    invocationMethod: invocationMethod(
      relay,
      { event, name, repository: options.repository ?? null },
      options.agent,
    ),
    requiredApproval: options.approval ?? false,
  }
  const isManual = event === 'workflow_dispatch'
  const names = isManual ? Object.keys(workflow.inputs) : []
  const said = {
    declared: isManual ? [...names, ...workflow.contexts, ...workflow.runIds] : null,
    optional: names.filter(name => String(object(workflow.inputs[name]).required) === 'false'),
  }
  const generated = { action, said, notes: notes(workflow, event, file, action) }
  if (options.event || !isManual || !('repository_dispatch' in workflow.on)) return generated
  return {
    ...generated,
    other: toAction(yaml, file, { ...options, event: 'repository_dispatch', identifier }),
  }
}

function chooseEvent(workflow: WorkflowFile, file: string, wanted?: Start['event']): Start['event'] {
  const possible = (['workflow_dispatch', 'repository_dispatch'] as const).filter(each => each in workflow.on)
  if (wanted && !possible.includes(wanted)) throw new Error(`${file} has no trigger ${wanted}.`)
  const event = wanted ?? possible[0]
  if (event) return event
  throw new NotStartable(
    `${file} is started by ${Object.keys(workflow.on).join(', ')}: add workflow_dispatch or repository_dispatch, so that Port can start it.`,
  )
}

/** Returns the declared inputs, followed by undeclared inputs that the workflow reads from the payload. */
function readInputs({ inputs, usedInputs }: WorkflowFile, event: Start['event']) {
  const declared = event === 'workflow_dispatch' ? inputs : {}
  const names = Object.keys(declared).filter(name => !OFFERED_INPUTS.includes(name))
  const order = [...new Set([...names, ...usedInputs])]
  const read = order.map(name => ({ name, ...fromGitHubInput(name, declared[name]) }))
  return {
    properties: Object.fromEntries(read.map(({ name, property }) => [name, property])),
    required: read.filter(each => each.required).map(({ name }) => name),
    order,
  }
}

function notes(workflow: WorkflowFile, event: Start['event'], file: string, action: PortAction): string[] {
  const inputs = event === 'workflow_dispatch' ? workflow.inputs : {}
  const environments = Object.keys(inputs).filter(name => object(inputs[name]).type === 'environment')
  return [
    ...placeholderNotes(action.invocationMethod),
    event === 'workflow_dispatch' &&
      workflow.usesAction &&
      !Object.hasOwn(inputs, 'port') &&
      `${file} declares no input "port" (type: string): without it, the action doesn't know the run in Port.`,
    Object.hasOwn(inputs, 'port') &&
      isOwnPort(inputs.port) &&
      `${file} declares an input "port" that isn't meant for the relay, but the relay sends its payload in it: rename the input.`,
    !workflow.usesAction &&
      `${file} doesn't use port-webhook-action: the relay finishes the run in Port when the workflow finishes. To show steps and log lines in Port, add the action${event === 'workflow_dispatch' ? ' and the input "port"' : ''}.`,
    action.trigger.operation !== 'CREATE' &&
      action.trigger.blueprintIdentifier === undefined &&
      `An action with the operation ${action.trigger.operation} needs a blueprint: pass --blueprint NAME.`,
    ...(event === 'workflow_dispatch' ? notesOnFilled(workflow, file) : []),
    workflow.usesEvent &&
      `${file} reads an event, which Port sends only for an automation: create an automation with this webhook in Port, because a self-service action has no event.`,
    ...environments.map(
      name =>
        `The input ${name} has the type environment on GitHub. Port has no such type, so the input is a text.`,
    ),
  ].filter(note => typeof note === 'string')
}

const notesOnFilled = (workflow: WorkflowFile, file: string): string[] => [
  ...[...workflow.contexts, ...workflow.runIds].map(
    name =>
      `The form has no input ${name}, because the relay fills it with ${workflow.contexts.includes(name) ? "Port's context" : "the Port run's ID"}. If ${file} needs another value, add the input to the form.`,
  ),
  ...contextNotes(file, workflow).map(({ note }) => note),
  ...(workflow.properties === 'all' && Object.hasOwn(workflow.inputs, 'port_payload')
    ? [`${file} passes on port_payload, from which it can read other inputs: add them to the form.`]
    : []),
]

function fromGitHubInput(name: string, input: unknown): { property: Property; required: boolean } {
  const { description, type: given, default: value, options, required } = isObject(input) ? input : {}
  const type = given === 'boolean' || given === 'number' ? given : 'string'
  const property: Property = { type, title: titleOf(name) }
  if (typeof description === 'string' && description.trim() !== '') property.description = description
  if (given === 'choice' && Array.isArray(options)) property.enum = [...new Set(options.map(String))]
  const read = readDefault(type, value)
  if (read !== undefined) property.default = read
  return { property, required: required === true || required === 'true' }
}

function readDefault(type: string, value: Json | undefined): Json | undefined {
  if (value === undefined || value === null || typeof value === 'object') return undefined
  if (type === 'boolean') return String(value) === 'true'
  if (type === 'number')
    return String(value).trim() !== '' && Number.isFinite(Number(value)) ? Number(value) : undefined
  return String(value)
}

/** Converts `log_level` and `logLevel` to "Log level". */
function titleOf(name: string): string {
  const words = name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').split(/[^A-Za-z0-9]+/)
  const text = words.filter(Boolean).join(' ').toLowerCase()
  return text === '' ? name : text[0]!.toUpperCase() + text.slice(1)
}

export function isOwnPort(input: unknown): boolean {
  const { type = 'string', default: value = '', required } = isObject(input) ? input : {}
  return type !== 'string' || (value !== '' && value !== null) || required === true || required === 'true'
}
