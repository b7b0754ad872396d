import { isMap, isScalar, parseDocument } from 'yaml'
import { isObject, type JsonObject } from '../../../port/types.ts'
import { usedInputs } from './used-inputs.ts'

/** What is read of a workflow file. */
export interface WorkflowFile {
  name: string | null
  description: string | null
  /** Events by name, with what the author set for each. */
  on: JsonObject
  /** The inputs of `workflow_dispatch`, each with its place in the text. */
  inputs: { name: string; input: unknown; at: number }[]
  /** The Port inputs that its expressions name. */
  usedInputs: string[]
  /** Whether a step uses the action. */
  usesAction: boolean
}

/** @throws Error with a sentence where the text is no workflow */
export function readWorkflow(yaml: string, file: string): WorkflowFile {
  const document = parseDocument(yaml)
  const [error] = document.errors
  if (error) throw new Error(`${file} is not YAML: ${error.message.split('\n')[0]!.replace(/:$/, '')}.`)
  const value: unknown = document.toJS({ maxAliasCount: 100 })
  if (!isObject(value) || !('on' in value) || !isObject(value.jobs))
    throw new Error(`${file} is neither a workflow (on, jobs) nor a Port action (identifier, trigger).`)
  const on = readEvents(value.on)
  const steps = Object.values(value.jobs)
    .flatMap(job => (isObject(job) && Array.isArray(job.steps) ? job.steps : []))
    .filter(isObject)
    .filter(step => /(^|\/)port-webhook-action@/.test(String(step.uses)))
  const stepIds = steps.flatMap(({ id }) => (typeof id === 'string' ? [id] : []))
  const dispatch = isObject(on.workflow_dispatch) ? on.workflow_dispatch : {}
  const node = document.getIn(['on', 'workflow_dispatch', 'inputs'], true)
  const places = new Map<string, number>()
  if (isMap(node)) {
    for (const { key } of node.items) if (isScalar(key)) places.set(String(key.value), key.range?.[0] ?? 0)
  }
  return {
    name: text(value.name),
    description: text(value.description),
    on,
    inputs: Object.entries(isObject(dispatch.inputs) ? dispatch.inputs : {}).map(([name, input]) => ({
      name,
      input,
      at: places.get(name) ?? 0,
    })),
    usedInputs: usedInputs(value, stepIds),
    usesAction: steps.length > 0,
  }
}

function readEvents(on: unknown): JsonObject {
  if (isObject(on)) return on
  const names = Array.isArray(on) ? on : [on]
  return Object.fromEntries(names.map(name => [String(name), null]))
}

const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)
