import type { ClientPayload } from '../port/payload.ts'
import type { Json, JsonObject } from '../port/types.ts'

/** Returns one output per Port input (`input-NAME` if the name is taken). The output `payload` keeps secret inputs encrypted. */
export function makeOutputs(payload: ClientPayload, inputs: JsonObject = payload.port.inputs) {
  const { port } = payload
  const by = port.trigger?.by
  const fixed: Record<string, Json | undefined> = {
    'run-id': payload.run_id,
    action: payload.action,
    operation: port.operation,
    blueprint: port.blueprint,
    'entity-id': port.entity?.identifier,
    'triggered-by': by?.email ?? by?.name,
    delivery: port.delivery,
    inputs: JSON.stringify(inputs),
    entity: JSON.stringify(port.entity),
    event: JSON.stringify(port.event),
    trigger: JSON.stringify(port.trigger),
    payload: JSON.stringify(payload),
  }
  // An input `Inputs` would replace the output `inputs`, because the runner ignores the case of output names.
  const taken = new Set(Object.keys(fixed))
  const renamed: string[] = []
  const impossible: string[] = []
  const values = new Map<string, string>()
  for (const [name, value] of Object.entries(inputs)) {
    if (!canBeOutput(name)) impossible.push(name)
    else if (taken.has(name.toLowerCase())) renamed.push(name)
    else {
      taken.add(name.toLowerCase())
      values.set(name, text(value))
    }
  }
  const prefixed: string[] = []
  for (const name of renamed) {
    const other = `input-${name}`
    const isSame = text(inputs[name]) === text(fixed[name.toLowerCase()])
    if (taken.has(other.toLowerCase())) {
      if (!isSame) impossible.push(name)
      continue
    }
    taken.add(other.toLowerCase())
    values.set(other, text(inputs[name]))
    if (!isSame) prefixed.push(name)
  }
  for (const [name, value] of Object.entries(fixed)) values.set(name, text(value))
  const warnings = [
    prefixed.length > 0 &&
      `${quote(prefixed)}: this action or another input already uses this output name, so the Port input is the output ` +
        `${prefixed.map(name => `input-${name}`).join(', ')}.`,
    impossible.length > 0 &&
      `${quote(impossible)}: the Port input has no separate output. Read the value from the output inputs: ` +
        `${example(impossible)}.`,
  ].filter(warning => warning !== false)
  return { values, warnings }
}

export const EMPTY_OUTPUTS = { inputs: '{}', entity: 'null', event: 'null', trigger: 'null' }

/** Whether a name can be an output: in the outputs file, a name ends at the first `=` or `<<`, or at the end of the line. */
const canBeOutput = (name: string) => name.trim() !== '' && !/=|<<|<$|[\r\n]/.test(name)

function text(value: Json | undefined): string {
  if (value === null || value === undefined) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

const quote = (names: string[]) => names.map(name => JSON.stringify(name)).join(', ')

const example = ([name]: string[]) => `fromJSON(steps.<id>.outputs.inputs)['${name!.replaceAll("'", "''")}']`
