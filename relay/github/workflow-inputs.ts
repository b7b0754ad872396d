import { type ClientPayload, shrinkClientPayload } from '../../port/client-payload.ts'
import type { Json, JsonObject } from '../../port/types.ts'
import { RejectedError } from './dispatch-outcome.ts'

/**
 * As many as a workflow can declare, and a dispatch can have.
 * @see https://docs.github.com/rest/actions/workflows#create-a-workflow-dispatch-event
 */
const MAX_INPUTS = 25
/** Of all inputs together. Whether GitHub counts characters or bytes is unknown: there are never fewer bytes. */
const MAX_BYTES = 65_535

/** The input that gets the payload for the action, as JSON. */
const PAYLOAD_INPUT = 'port'

/**
 * The inputs of a `workflow_dispatch`: texts, `true` and `false`, numbers as text, objects and arrays as JSON. A null
 * is left out, so that the workflow's default applies, and so is what the workflow does not declare.
 *
 * Of more than 25, only the first 25 are given: either the workflow declares them all, and then no other, or GitHub
 * names those that it does not declare, and starts nothing.
 *
 * @throws RejectedError where they are more than GitHub takes
 */
export function encodeInputs(
  { inputs, payload }: { inputs: JsonObject; payload: ClientPayload },
  undeclared: ReadonlySet<string>,
): Record<string, string> {
  const encoded = Object.fromEntries(
    Object.entries(inputs)
      .filter(([name, value]) => value !== null && name !== PAYLOAD_INPUT && !undeclared.has(name))
      .slice(0, MAX_INPUTS)
      .map(([name, value]) => [name, encode(value)]),
  )
  const count = Object.keys(encoded).length
  const room = MAX_BYTES - bytes(encoded)
  // A workflow that declares as many inputs as GitHub allows has none for the payload.
  const hasPayload = count < MAX_INPUTS && !undeclared.has(PAYLOAD_INPUT)
  const text = hasPayload ? fitPayload(payload, room) : ''
  if (room < 0 || text === null) {
    const largest = Object.entries(encoded).sort(([, a], [, b]) => b.length - a.length)[0]?.[0]
    throw new RejectedError(
      `GitHub takes at most 65,535 characters of inputs for a workflow (the relay counts bytes), and this invocation has ${MAX_BYTES - room}; the largest input is "${largest}".`,
    )
  }
  return hasPayload ? { ...encoded, [PAYLOAD_INPUT]: text } : encoded
}

const encode = (value: Json): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** The payload as JSON, so much of it left out that it fits as a JSON text; null where that is not enough. */
function fitPayload(payload: ClientPayload, room: number): string | null {
  // Its quotes are escaped; its name and punctuation count as well.
  const size = (text: string) => bytes({ [PAYLOAD_INPUT]: text }) + 1
  let most = Math.min(room, bytes(payload))
  for (let tries = 0; tries < 8 && most > 0; tries++) {
    const text = JSON.stringify(shrinkClientPayload(payload, most))
    if (size(text) <= room) return text
    most = Math.floor((Buffer.byteLength(text) * room) / size(text)) - 16
  }
  return null
}

const bytes = (value: unknown) => Buffer.byteLength(JSON.stringify(value))
