import { FIXED_OUTPUTS } from '../generate/outputs.ts'
import { type Chain, chainAfter, chainAt } from './chain.ts'
import { type ExpressionToken, expressionTokens, quoted, withoutParentheses } from './template.ts'

/** What the workflow as it was calls its inputs. */
export interface Names {
  /** Inputs that hold what Port knows of the run: `port_context`, `port_payload`. */
  contexts: Set<string>
  /** Inputs that hold the id of Port's run. */
  runIds: Set<string>
  /** The declared inputs of a `workflow_dispatch`. */
  declared: Map<string, { type: string; default: string | boolean | number | null }>
  /** Whether `entity` in the context is the whole entity, or its identifier. */
  wholeEntity: boolean
  /** How the workflow will be started; `called`: by another workflow alone, which is started either way. */
  start: 'workflow_dispatch' | 'repository_dispatch' | 'called'
  /** Whether another workflow may call it. */
  isCalled: boolean
  /** Whether something that is not Port's starts it too, such as a push. */
  hasOtherEvents: boolean
}

/** Where an expression stands. */
export interface Place {
  /** The id of the action's step, where the context `steps` exists; null in jobs.*.if, environment, env and the like. */
  step: string | null
  /** Whether the expression decides whether something runs. */
  condition: boolean
  /** The JSON, quoted, that stands for what Port sent where it sent nothing. */
  preset?: string
  /** Called with what a person must look at. */
  note: (level: 'todo' | 'check', message: string) => void
}

/**
 * Rewrites an expression's references to what the relay and the action give. Everything else in it stays as it is.
 */
export function mapExpression(source: string, place: Place, names: Names): string {
  const tokens = expressionTokens(source)
  let result = ''
  let at = 0
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index]!
    const isMember = tokens[index - 1]?.text === '.'
    if (token.kind !== 'name' || isMember) continue
    const found = mapAt(tokens, index, place, names)
    if (!found) continue
    const whole = index === 0 && found.next === tokens.length
    result += source.slice(at, token.start) + (whole ? withoutParentheses(found.text) : found.text)
    at = found.end
    index = found.next - 1
  }
  return result + source.slice(at)
}

interface Mapped {
  text: string
  end: number
  /** Index of the token after it. */
  next: number
}

function mapAt(tokens: ExpressionToken[], index: number, place: Place, names: Names): Mapped | null {
  const chain = chainAt(tokens, index)
  const name = chain.parts[0]!.toLowerCase()
  // fromJSON(inputs.port_context).x
  if (name === 'fromjson' && tokens[index + 1]?.text === '(') {
    const inner = tokens[index + 2]?.kind === 'name' ? chainAt(tokens, index + 2) : null
    const reference = inner && readReference(inner)
    const last = inner?.next.at(-1) ?? -1
    const preset = tokens[last]?.text === '||' ? tokens[last + 1] : undefined
    const close = preset?.kind === 'string' ? last + 2 : last
    if (!reference || tokens[close]?.text !== ')' || reference.used !== inner.parts.length) return null
    if (!names.contexts.has(reference.name))
      return preset ? null : jsonInput(tokens, reference, close, place, names)
    const asJson = inToJson(tokens, index)
    const read = { ...place, ...(preset && { preset: preset.text }) }
    return mapContext(tokens, chainAfter(tokens, close), reference, read, names, asJson)
  }
  const reference = readReference(chain)
  if (!reference) return mapWhole(tokens, chain, place, names)
  const { used } = reference
  if (names.contexts.has(reference.name)) {
    if (reference.from === 'client_payload' && chain.parts.length > used) {
      return mapContext(tokens, drop(chain, used), reference, place, names, inToJson(tokens, index))
    }
    if (chain.parts.length > used) return null
    if (isAskedFor(tokens, index, chain.next.at(-1)!, place))
      return end(chain, used, values(place, names).runId)
    return end(chain, used, `(${rebuilt(reference, place, names)})`)
  }
  if (names.runIds.has(reference.name)) return end(chain, used, values(place, names).runId)
  if (reference.from === 'client_payload') return mapPayload(tokens, chain, place, names, index)
  if (names.start !== 'repository_dispatch') return null
  const isOperand = !(index === 0 && chain.next[used - 1] === tokens.length)
  return end(chain, used, input(reference, place, names, isOperand))
}

const end = (chain: Chain, parts: number, text: string): Mapped => ({
  text,
  end: chain.ends[parts - 1]!,
  next: chain.next[parts - 1]!,
})

const drop = ({ parts, ends, next }: Chain, count: number): Chain => ({
  parts: parts.slice(count),
  ends: ends.slice(count),
  next: next.slice(count),
})

/** Whether an expression only asks whether there is what stands from `index` up to `next`: that is so of the run's id too. */
function isAskedFor(tokens: ExpressionToken[], index: number, next: number, { condition }: Place): boolean {
  const [before, after] = [tokens[index - 1]?.text ?? '', tokens[next]?.text ?? '']
  if (/^[!=]=$/.test(after)) return tokens[next + 1]?.text === "''"
  if (before === '!' || after === '&&') return true
  return condition && /^(&&|\|\||)$/.test(before) && /^(\|\||)$/.test(after)
}

interface Reference {
  from: 'inputs' | 'event' | 'client_payload'
  name: string
  /** How many parts of the chain it is. */
  used: number
}

/** `inputs.x`, `github.event.inputs.x` or `github.event.client_payload.x`. */
function readReference({ parts }: Chain): Reference | null {
  const [first, second, third] = parts.map(part => part.toLowerCase())
  if (first === 'inputs' && parts.length > 1) return { from: 'inputs', name: parts[1]!, used: 2 }
  if (first !== 'github' || second !== 'event' || parts.length < 4) return null
  if (third === 'inputs') return { from: 'event', name: parts[3]!, used: 4 }
  return third === 'client_payload' ? { from: 'client_payload', name: parts[3]!, used: 4 } : null
}

const readAsJson = (source: string, preset?: string): string =>
  `fromJSON(${source}${preset === undefined ? '' : ` || ${preset}`})`

/** The expressions for what Port knows of the run. */
function values(
  { step, preset }: Pick<Place, 'step' | 'preset'>,
  { start, isCalled }: Pick<Names, 'start' | 'isCalled'>,
) {
  if (step !== null) {
    const output = (name: string) => `steps.${step}.outputs.${name}`
    const read = (name: string) => readAsJson(output(name), preset)
    return {
      runId: output('run-id'),
      action: output('action'),
      operation: output('operation'),
      blueprint: output('blueprint'),
      entityId: output('entity-id'),
      email: output('triggered-by'),
      entity: read('entity'),
      entityJson: output('entity'),
      event: read('event'),
      trigger: read('trigger'),
      inputs: read('inputs'),
      inputsJson: output('inputs'),
    }
  }
  const payload =
    start === 'repository_dispatch'
      ? 'github.event.client_payload'
      : `fromJSON(github.event.inputs.port || ${isCalled ? 'toJSON(github.event.client_payload)' : "'{}'"})`
  const port = `${payload}.port`
  return {
    runId: `${payload}.run_id`,
    action: `${payload}.action`,
    operation: `${port}.operation`,
    blueprint: `${port}.blueprint`,
    entityId: `${port}.entity.identifier`,
    email: `${port}.trigger.by.email`,
    entity: `${port}.entity`,
    entityJson: `toJSON(${port}.entity)`,
    event: `${port}.event`,
    trigger: `${port}.trigger`,
    inputs: `${port}.inputs`,
    inputsJson: `toJSON(${port}.inputs)`,
  }
}

/** Path in the context → what it is; the rest of the path follows. Longest first. */
const CONTEXT_PATHS: [string, keyof ReturnType<typeof values>, 'leaf' | 'tree'][] = [
  ['payload.action.identifier', 'action', 'leaf'],
  ['payload.action.trigger', 'operation', 'leaf'],
  ['payload.entity.identifier', 'entityId', 'leaf'],
  ['trigger.by.user.email', 'email', 'leaf'],
  ['trigger.by.email', 'email', 'leaf'],
  ['action.identifier', 'action', 'leaf'],
  ['action.blueprint', 'blueprint', 'leaf'],
  ['entity.identifier', 'entityId', 'leaf'],
  ['trigger.operation', 'operation', 'leaf'],
  ['payload.entity', 'entity', 'tree'],
  ['payload.properties', 'inputs', 'tree'],
  ['trigger.origin', 'trigger', 'tree'],
  ['trigger.at', 'trigger', 'tree'],
  ['run.id', 'runId', 'leaf'],
  ['runid', 'runId', 'leaf'],
  ['run_id', 'runId', 'leaf'],
  ['blueprint', 'blueprint', 'leaf'],
  ['action', 'action', 'leaf'],
  ['operation', 'operation', 'leaf'],
  ['inputs', 'inputs', 'tree'],
  ['properties', 'inputs', 'tree'],
  ['relations', 'entity', 'tree'],
  ['entity', 'entity', 'tree'],
  ['event', 'event', 'tree'],
  ['diff', 'event', 'tree'],
]
/** Paths whose last part belongs to what they are mapped to. */
const KEEPS_LAST = ['trigger.origin', 'trigger.at', 'relations', 'diff']

/** Maps what follows `fromJSON(inputs.port_context)`. */
function mapContext(
  tokens: ExpressionToken[],
  chain: Chain & { start?: { end: number; next: number } },
  reference: Reference | null,
  place: Place,
  names: Names,
  asJson: boolean,
): Mapped | null {
  const lower = chain.parts.map(part => part.toLowerCase())
  const skipped = lower[0] === 'context' && lower.length > 1 ? 1 : 0
  const is = values(place, names)
  if (chain.parts.length === 0)
    return chain.start && reference
      ? { ...chain.start, text: readAsJson(rebuilt(reference, place, names), place.preset) }
      : null
  const path = lower.slice(skipped)
  const found = CONTEXT_PATHS.find(([key]) => `${path.join('.')}.`.startsWith(`${key}.`))
  if (!found) {
    const key = chain.parts[skipped]!
    if (key.toLowerCase() === 'payload') {
      place.note('todo', `${chain.parts.join('.')}: what Port sends now has no such part.`)
      return null
    }
    if (key.toLowerCase() === 'trigger') {
      place.note(
        'todo',
        `${chain.parts.join('.')}: of who started a run the payload has only name and e-mail; ` +
          `see ${is.trigger}.by.`,
      )
      return end(chain, 1 + skipped, is.trigger)
    }
    place.note(
      'check',
      `${key} was put into the context by the Port action: it is read as an input of that name, which the action's body ` +
        'must send beside the others.',
    )
    return end(chain, skipped + 1, portInput(key, place, names))
  }
  const [key, target, kind] = found
  const length = key.split('.').length
  const used = skipped + length
  const isEnd = chain.parts.length === used
  if (target === 'entity' && key === 'entity' && isEnd && !asJson && !isIndexed(tokens, chain, used))
    return end(chain, used, is.entityId)
  if (target === 'inputs' && chain.parts.length > used)
    return end(chain, used + 1, portInput(chain.parts[used]!, place, names))
  const kept = KEEPS_LAST.includes(key) ? `.${chain.parts[used - 1]}` : ''
  if (kind === 'leaf' && chain.parts.length > used) {
    place.note('todo', `${chain.parts.join('.')}: the payload has no such part.`)
  }
  return end(chain, used, is[target] + kept)
}

const isIndexed = (tokens: ExpressionToken[], chain: Chain, used: number) =>
  tokens[chain.next[used - 1]!]?.text === '[' || tokens[chain.next[used - 1]!]?.text === '.'

const inToJson = (tokens: ExpressionToken[], index: number) =>
  tokens[index - 1]?.text === '(' && tokens[index - 2]?.text.toLowerCase() === 'tojson'

/** The context in its old form, for what reads it as a whole; empty where Port did not start the workflow. */
function rebuilt({ name }: Reference, place: Place, names: Names): string {
  const is = values(place, names)
  const entity = names.wholeEntity ? is.entityJson : `toJSON(${is.entityId})`
  const args = [is.runId, `toJSON(${is.blueprint})`, entity]
  const context = '"runId":"{0}","run_id":"{0}","blueprint":{1},"entity":{2}'
  // Free text that a context never had does not get into scripts that read it.
  const hasPayload = /payload/i.test(name)
  if (hasPayload) args.push(is.entityJson, is.inputsJson)
  const more = `,"context":{{${context}}},"payload":{{"entity":{3},"properties":{4}}}`
  place.note(
    'check',
    `${name} as a whole is rebuilt with runId, blueprint and entity${names.wholeEntity ? '' : ' (its identifier)'}` +
      `${hasPayload ? ', payload.entity and payload.properties' : ''}: check that what reads it needs no more.`,
  )
  return `${is.runId} && format('{{${context}${hasPayload ? more : ''}}}', ${args.join(', ')})`
}

/** `github.event.client_payload.x` of a workflow that was started by `repository_dispatch` before. */
function mapPayload(
  tokens: ExpressionToken[],
  chain: Chain,
  place: Place,
  names: Names,
  index: number,
): Mapped | null {
  const payload = drop(chain, 3)
  const first = payload.parts[0]!.toLowerCase()
  // What the relay sends stands there already.
  if (first === 'port') return null
  if ((first === 'run_id' || first === 'action') && payload.parts.length === 1 && place.step === null)
    return null
  const known = CONTEXT_PATHS.some(([key]) =>
    `${payload.parts.join('.').toLowerCase()}.`.startsWith(`${key}.`),
  )
  if (known || first === 'context' || first === 'trigger')
    return mapContext(tokens, payload, null, place, names, inToJson(tokens, index))
  const name = payload.parts[0]!
  const isWhole = index === 0 && payload.next[0] === tokens.length
  const isText = (isWhole && !place.condition) || isFormatted(tokens, index, payload.next[0]!)
  if (place.step === null || isText) return end(payload, 1, portInput(name, place, names))
  // Elsewhere its type counts, which an output has not.
  const member = /^[A-Za-z_][\w-]*$/.test(name) ? `.${name}` : `[${quoted(name)}]`
  return end(payload, 1, values(place, names).inputs + member)
}

/** Whether what stands from `index` up to `next` is an argument of `format` or `fromJSON`, which take it as text. */
function isFormatted(tokens: ExpressionToken[], index: number, next: number): boolean {
  if (/^fromJSON$/i.test(tokens[index - 2]?.text ?? '') && tokens[index - 1]?.text === '(')
    return tokens[next]?.text === ')'
  if (tokens[index - 1]?.text !== ',' || !/^[,)]$/.test(tokens[next]?.text ?? '')) return false
  let depth = 0
  for (let at = index - 1; at > 0; at--) {
    const { text } = tokens[at]!
    if (text === ')') depth++
    if (text === '(' && depth-- === 0) return tokens[at - 1]!.text.toLowerCase() === 'format'
  }
  return false
}

/** `inputs` or `github.event.inputs` as a whole. */
function mapWhole(tokens: ExpressionToken[], chain: Chain, place: Place, names: Names): Mapped | null {
  const lower = chain.parts.map(part => part.toLowerCase())
  const used = lower[0] === 'inputs' ? 1 : lower.slice(0, 3).join('.') === 'github.event.inputs' ? 3 : 0
  if (used === 0 || tokens[chain.next[used - 1]!]?.text === '[') return null
  const gone = [...names.contexts, ...names.runIds]
  if (gone.length > 0)
    place.note(
      'check',
      `the inputs as a whole have no ${gone.join(' and no ')} any more: check what reads them.`,
    )
  if (names.start !== 'repository_dispatch') return null
  return end(chain, used, values(place, names).inputs)
}

/** GitHub compares names of outputs without regard to case. */
const isFixedOutput = (name: string): boolean => FIXED_OUTPUTS.includes(name.toLowerCase())

/** The output that holds an input of the Port action. */
const outputName = (input: string): string => (isFixedOutput(input) ? `input-${input}` : input)

/** A reference to an input of the Port action. */
function portInput(name: string, place: Place, names: Names): string {
  const isName = /^[A-Za-z_][\w-]*$/.test(name)
  if (place.step === null) {
    const { inputs } = values(place, names)
    return isName ? `${inputs}.${name}` : `${inputs}[${quoted(name)}]`
  }
  if (isFixedOutput(name)) {
    place.note(
      'check',
      `the input ${name} has the name of an output of the action: it is the output ${outputName(name)}.`,
    )
  }
  const output = outputName(name)
  return `steps.${place.step}.outputs${isName ? `.${output}` : `[${quoted(output)}]`}`
}

function noteDefault(name: string, preset: string | boolean | number | null, { note }: Place): void {
  if (preset === null || preset === '') return
  note(
    'check',
    `the default ${JSON.stringify(preset)} of ${name} stands in the expression now, for an input that Port leaves empty: ` +
      'set it in the Port action too.',
  )
}

/** An input, with its type and default as the workflow declares them. */
function input(reference: Reference, place: Place, names: Names, isOperand: boolean): string {
  const { type, default: preset } = names.declared.get(reference.name) ?? { type: 'string', default: null }
  const path = portInput(reference.name, place, names)
  noteDefault(reference.name, preset, place)
  if (type === 'boolean' && reference.from === 'inputs') {
    if (place.condition && place.step !== null)
      place.note('check', `the boolean ${reference.name} is compared as text, as outputs are.`)
    if (place.step === null) {
      return preset === true ? `(toJSON(${path}) != 'false')` : `(toJSON(${path}) == 'true')`
    }
    return preset === true ? `(${path} != 'false')` : `(${path} == 'true')`
  }
  // In the event a boolean or a number is one; the input was text.
  const isText = place.step !== null || !isOperand
  const text = isText ? path : `format('{0}', ${path})`
  return preset === null || preset === '' ? text : `(${text} || ${quoted(String(preset))})`
}

/** `fromJSON(inputs.x)` of an input that is no context: an array or an object of the event is one already. */
function jsonInput(
  tokens: ExpressionToken[],
  reference: Reference,
  close: number,
  place: Place,
  names: Names,
): Mapped | null {
  if (place.step !== null || names.start !== 'repository_dispatch' || reference.from === 'client_payload')
    return null
  if (names.runIds.has(reference.name)) return null
  const preset = names.declared.get(reference.name)?.default ?? ''
  // A number or a boolean is read from its text, as elsewhere.
  if (preset !== '' && !/^\s*[[{]/.test(String(preset))) return null
  const path = portInput(reference.name, place, names)
  noteDefault(reference.name, preset, place)
  place.note(
    'check',
    `${reference.name} is read as the array or object that Port sends: where the Port action sends it as text, put fromJSON( ) ` +
      'around it again.',
  )
  const text = preset === '' ? path : `(${path} || fromJSON(${quoted(String(preset))}))`
  return { text, end: tokens[close]!.end, next: close + 1 }
}
