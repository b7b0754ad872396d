import { type ClientPayload, guideContext, guidePayload, shrinkClientPayload } from '../port/payload.ts'
import type { Invocation, Json } from '../port/types.ts'
import type { Reads } from './reads.ts'

/** GitHub's maximum number of inputs per dispatch. @see https://docs.github.com/rest/actions/workflows#create-a-workflow-dispatch-event */
const MAX_INPUTS = 25
/** The maximum size of all inputs, in bytes. GitHub may count characters instead of bytes. */
const MAX_BYTES = 65_535

/** The input that contains the action's payload as JSON. */
const PAYLOAD_INPUT = 'port'

/** The inputs that an invocation offers to a workflow, in GitHub's format. */
export interface Offer {
  /** The values that a user entered in the form. Null values are omitted, so that the workflow's defaults apply. */
  entered: Map<string, string>
  /** The values that the author added to the body, followed by the relay's values. */
  others: Map<string, string>
  /** The payload for the action; null if the form has an input named `port`. */
  payload: ClientPayload | null
  /** The entered inputs that the workflow reads from the relay's `port_payload`. */
  readFromPayload: string[]
}

type Texts = Record<string, string>

export type Fitted =
  | { inputs: Texts }
  /** The entered inputs that the workflow wouldn't get. */
  | { undeclared: string[] }
  /** `largest`: the name of the largest input. `lost`: the entered inputs that don't fit into `port`. */
  | { tooLarge: { bytes: number; largest: string; lost: string[] } }

/**
 * Returns the inputs that an invocation offers. Strings are unchanged; other values become JSON.
 * @param reads what the workflow reads from its inputs; null if the relay can't read the file
 */
export function offerInputs(invocation: Invocation, payload: ClientPayload, reads: Reads | null): Offer {
  const { inputs, runId, entity, forWorkflow = {} } = invocation
  const { contexts = [], runIds = [], textEntities = [], properties = [] } = reads ?? {}
  const [notEntered, inside] = [new Set(forWorkflow.notEntered), new Set(forWorkflow.inside)]
  const given = Object.entries(inputs)
    .filter(([name, value]) => value !== null && !inside.has(name))
    .map(([name, value]): [string, string] => [name, encode(value)])
  const context = guideContext(invocation)
  const text = typeof entity?.identifier === 'string' ? { ...context, entity: entity.identifier } : context
  const contextFor = (name: string) =>
    encode(forWorkflow.port_context ?? (textEntities.includes(name) ? text : context))
  const ofRelay: [string, string | null][] = [
    ...['port_context', ...contexts].map((name): [string, string] => [name, contextFor(name)]),
    ...['port_run_id', 'run_id', ...runIds].map((name): [string, string | null] => [name, runId]),
    ['port_payload', encode(forWorkflow.port_payload ?? guidePayload(invocation))],
  ]
  // An entered input takes precedence, even if it's empty.
  const isFree = (name: string) => !Object.hasOwn(inputs, name) || inside.has(name)
  const entered = given.filter(([name]) => !notEntered.has(name))
  const makesPayload = forWorkflow.port_payload === undefined && isFree('port_payload')
  return {
    entered: new Map(entered),
    others: new Map([
      ...given.filter(([name]) => notEntered.has(name)),
      ...ofRelay.filter((each): each is [string, string] => each[1] !== null && isFree(each[0])),
    ]),
    payload: isFree(PAYLOAD_INPUT) ? payload : null,
    readFromPayload: entered
      .map(([name]) => name)
      .filter(name => makesPayload && (properties === 'all' || properties.includes(name))),
  }
}

/**
 * Chooses at most 25 inputs. GitHub rejects undeclared inputs. If a user entered inputs that the workflow doesn't
 * declare, `port` must contain them, unless the workflow reads them from `port_payload`. If the inputs are too large,
 * shortens `port` first, and then omits `port_payload`.
 */
export function fitInputs(offer: Offer, undeclared: ReadonlySet<string>): Fitted {
  const names = chooseNames(offer, undeclared)
  const inPayload = names.includes('port_payload') ? offer.readFromPayload : []
  const carried = [...offer.entered.keys()].filter(name => ![...names, ...inPayload].includes(name))
  if (carried.length > 0 && !(offer.payload && names.includes(PAYLOAD_INPUT))) return { undeclared: carried }
  const fitted = assemble(offer, names, carried)
  if ('inputs' in fitted || !offer.others.has('port_payload')) return fitted
  const withoutPayload = new Map([...offer.others].filter(([name]) => name !== 'port_payload'))
  const refitted = fitInputs({ ...offer, others: withoutPayload }, undeclared)
  return 'undeclared' in refitted ? fitted : refitted
}

export const offeredNames = ({ entered, others }: Offer): string[] => [
  ...new Set([...entered.keys(), PAYLOAD_INPUT, ...others.keys()]),
]

/** Returns the names of the most important inputs, up to GitHub's maximum. */
function chooseNames({ entered, others, payload }: Offer, undeclared: ReadonlySet<string>): string[] {
  const port = payload ? [PAYLOAD_INPUT] : []
  const declared = [...entered.keys()].filter(name => !undeclared.has(name))
  // The payload must contain the entered inputs that the workflow doesn't declare.
  const needsPort = declared.length < entered.size || entered.size > MAX_INPUTS
  const inOrder = [...(needsPort ? port : []), ...declared, ...port, ...others.keys()]
  return [...new Set(inOrder)].filter(name => !undeclared.has(name)).slice(0, MAX_INPUTS)
}

function assemble({ entered, others, payload }: Offer, names: string[], carried: string[]): Fitted {
  const inputs: Texts = Object.fromEntries(
    names.flatMap(name => {
      const text = entered.get(name) ?? others.get(name)
      return text === undefined ? [] : [[name, text]]
    }),
  )
  const room = MAX_BYTES - bytes(inputs)
  const hasPayload = payload !== null && names.includes(PAYLOAD_INPUT)
  const port = hasPayload ? fitPayload(payload, room) : null
  if (room < 0 || (hasPayload && port === null)) {
    const largest = Object.entries(inputs).sort(([, a], [, b]) => b.length - a.length)[0]?.[0] ?? ''
    return { tooLarge: { bytes: MAX_BYTES - room, largest, lost: [] } }
  }
  if (port === null) return { inputs }
  const { relay, truncated } = port.payload.port
  const left = new Set(truncated)
  const lost = carried.filter(name => left.has('inputs') || left.has(`inputs.${name}`))
  if (relay === null && lost.length > 0) {
    return { tooLarge: { bytes: MAX_BYTES, largest: PAYLOAD_INPUT, lost } }
  }
  return { inputs: { ...inputs, [PAYLOAD_INPUT]: port.text } }
}

const encode = (value: Json): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** Shortens the payload until it fits. `text`: the payload as a JSON string. Returns null if the payload can't be shortened enough. */
function fitPayload(payload: ClientPayload, room: number): { text: string; payload: ClientPayload } | null {
  const size = (text: string) => bytes({ [PAYLOAD_INPUT]: text }) + 1
  let most = Math.min(room, bytes(payload))
  for (let tries = 0; tries < 8 && most > 0; tries++) {
    const shrunk = shrinkClientPayload(payload, most)
    const text = JSON.stringify(shrunk)
    if (size(text) <= room) return { text, payload: shrunk }
    most = Math.floor((Buffer.byteLength(text) * room) / size(text)) - 16
  }
  return null
}

const bytes = (value: unknown) => Buffer.byteLength(JSON.stringify(value))
