import { type Document, isMap, isScalar, isSeq, type Node, type Scalar } from 'yaml'
import type { Names } from './map-expression.ts'
import type { TextEdits } from './text-edits.ts'
import type { Finding, MigrateOptions } from './types.ts'
import { dashesOf, endOf, isFlow, mapOf, nodeAt, pairEnd, pairOf, removePair, startOf } from './yaml-nodes.ts'

/** GitHub's limit for `workflow_dispatch`. */
const MAX_INPUTS = 25

const PORT_INPUT = [
  'port:',
  '  description: What Port sent, as the relay gives it',
  '  required: false',
  '  type: string',
]
const PORT_INPUT_FLOW = 'port: { required: false, type: string }'

/** The events that Port starts a workflow by, itself or by another workflow. */
export const PORTS_EVENT = /^(workflow_dispatch|repository_dispatch|workflow_call)$/

/** The names of the events that start the workflow. */
export function eventsOf(document: Document): string[] {
  const on = document.get('on', true) as Node | undefined
  if (isScalar(on)) return [String(on.value)]
  if (isSeq(on)) return on.items.map(item => (isScalar(item) ? String(item.value) : ''))
  return mapOf(on)?.items.map(({ key }) => String(key.value)) ?? []
}

/** The events by which nothing that is Port's starts the workflow. */
export const otherEvents = (document: Document): string[] =>
  eventsOf(document).filter(event => !PORTS_EVENT.test(event))

/** Why the workflow cannot be started as it is to be; null where it can. */
export function triggerProblem(document: Document, names: Names): string | null {
  const on = document.get('on', true) as Node | undefined
  const events = eventsOf(document)
  if (names.start === 'repository_dispatch') {
    if (events.includes('workflow_dispatch') && events.includes('repository_dispatch'))
      return 'it has a repository_dispatch already: without --on Port may start it by either event.'
    return events.includes('workflow_call') && names.declared.size > 0
      ? 'it is called by other workflows too, whose inputs an event does not give: use --on workflow_dispatch.'
      : null
  }
  if (names.start !== 'workflow_dispatch') return null
  if (names.declared.has('port'))
    return 'it has an input port of its own, which is where the relay puts its payload: rename that, or use --on repository_dispatch.'
  const inputs = mapOf(nodeAt(nodeAt(on, 'workflow_dispatch'), 'inputs'))?.items ?? []
  const count = inputs.filter(({ key }) => !isGone(key, names)).length + 1
  return count > MAX_INPUTS
    ? `with the input port it has ${count} inputs, and GitHub takes ${MAX_INPUTS}: use --on repository_dispatch.`
    : null
}

const isGone = (key: Scalar, { contexts, runIds }: Names): boolean =>
  contexts.has(String(key.value)) || runIds.has(String(key.value))

/** Replaces the inputs that Port's GitHub backend filled, by the input `port` or by `repository_dispatch`. */
export function rewriteTriggers(
  document: Document,
  edits: TextEdits,
  names: Names,
  options: MigrateOptions,
  migrated: boolean,
  findings: Finding[],
): void {
  const root = document.contents
  const on = pairOf(root, 'on')
  if (!on?.value) return
  const call = mapOf(nodeAt(on.value, 'workflow_call'))
  const called = mapOf(nodeAt(call, 'inputs'))
  if (call && called) {
    const old = called.items.filter(({ key }) => isGone(key, names))
    if (old.length > 0) {
      findings.push({
        line: edits.lineOf(startOf(old[0]!.key)),
        level: 'check',
        message: `${old.map(({ key }) => key.value).join(', ')}: what Port sent is in the event, so a workflow that calls this one hands it on no more; migrate it in the same command.`,
      })
      if (old.length === called.items.length) removePair(call, pairOf(call, 'inputs')!, edits)
      else for (const pair of old) removePair(called, pair, edits)
    }
  }
  if (!eventsOf(document).includes('workflow_dispatch')) return
  if (names.start === 'repository_dispatch') toRepositoryDispatch(on.value, edits, options, root)
  else if (!migrated) addPortInput(on.value, edits, names)
}

function addPortInput(on: Node, edits: TextEdits, names: Names): void {
  const column = (at: number) => ' '.repeat(edits.columnOf(at))
  const lines = (pad: string, first = pad) =>
    PORT_INPUT.map((line, index) => (index === 0 ? first : pad) + line).join('\n')
  const dispatch = pairOf(on, 'workflow_dispatch')
  if (!dispatch) {
    writeEvents(on, `workflow_dispatch: { inputs: { ${PORT_INPUT_FLOW} } }`, edits)
    return
  }
  const inputs = mapOf(nodeAt(dispatch.value, 'inputs'))
  const settings = mapOf(dispatch.value)
  const pad = column(startOf(dispatch.key))
  if (!inputs || inputs.items.length === 0) {
    const existing = pairOf(dispatch.value, 'inputs')
    if (existing)
      edits.replace(startOf(existing.key), pairEnd(existing, edits), `inputs: { ${PORT_INPUT_FLOW} }`)
    else if (isFlow(on))
      edits.replace(
        startOf(dispatch.key),
        pairEnd(dispatch, edits),
        `workflow_dispatch: { inputs: { ${PORT_INPUT_FLOW} } }`,
      )
    else if (settings && settings.items.length > 0)
      edits.insert(startOf(settings), `inputs: { ${PORT_INPUT_FLOW} }\n${column(startOf(settings))}`)
    else
      edits.replace(
        startOf(dispatch.key),
        pairEnd(dispatch, edits),
        `workflow_dispatch:\n${pad}  inputs:\n${lines(`${pad}    `)}`,
      )
    return
  }
  const [first, ...rest] = inputs.items.filter(({ key }) => isGone(key, names))
  const entry = (at: number) => (isFlow(inputs) ? PORT_INPUT_FLOW : lines(column(at), ''))
  if (first) {
    removePair(inputs, first, edits, entry(startOf(first.key)))
    for (const pair of rest) removePair(inputs, pair, edits)
    return
  }
  const at = startOf(inputs.items[0]!.key)
  edits.insert(at, entry(at) + (isFlow(inputs) ? ', ' : `\n${column(at)}`))
}

/** `on: workflow_dispatch` or a list as a mapping: on the line of its key, or on the lines of the list. */
function writeEvents(on: Node, dispatch: string, edits: TextEdits): void {
  if (isSeq(on) && !isFlow(on)) {
    const pad = edits.columnOf(startOf(on)) === 0 ? '  ' : ''
    for (const [index, dash] of dashesOf(on).entries()) {
      const item = on.items[index] as Scalar
      edits.replace(
        dash,
        endOf(item, edits),
        pad + (item.value === 'workflow_dispatch' ? dispatch : `${item.value}:`),
      )
    }
    return
  }
  const events = isSeq(on)
    ? on.items.map(item => (isScalar(item) ? String(item.value) : ''))
    : ['workflow_dispatch']
  const written = events.map(name => (name === 'workflow_dispatch' ? dispatch : `${name}: {}`))
  const colon = edits.text.lastIndexOf(':', startOf(on) - 1)
  edits.replace(colon + 1, endOf(on, edits), ` { ${written.join(', ')} }`)
}

function toRepositoryDispatch(
  on: Node,
  edits: TextEdits,
  { eventType }: MigrateOptions,
  root: unknown,
): void {
  const dispatch = pairOf(on, 'workflow_dispatch')
  const flow = `repository_dispatch: { types: [${eventType}] }`
  if (dispatch) {
    const pad = ' '.repeat(edits.columnOf(startOf(dispatch.key)))
    edits.replace(
      startOf(dispatch.key),
      pairEnd(dispatch, edits),
      isFlow(on) ? flow : `repository_dispatch:\n${pad}  types: [${eventType}]`,
    )
  } else writeEvents(on, flow, edits)
  if (!pairOf(root, 'run-name') && isMap(root)) {
    const pair = pairOf(root, 'on')!
    edits.insert(
      startOf(pair.key),
      'run-name: ${{ github.event.client_payload.action }} ${{ github.event.client_payload.run_id }}\n',
    )
  }
}
