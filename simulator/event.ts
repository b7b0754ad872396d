import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { readInvocation } from '../port/invocation/invocation.ts'
import { packClientPayload, readClientPayload } from '../port/payload.ts'
import { type Invocation, isObject, type Json, type JsonObject } from '../port/types.ts'

/** The input of a simulation. */
export interface SimulationEvent {
  /** `client_payload`, as the relay sends it. */
  payload: JsonObject
  /** The invocation in the webhook; null if the file is a dispatch. */
  invocation: Invocation | null
  /** The webhook's body, as Port stores it. It contains the items that didn't fit into the payload. */
  body: Json
  /** The event type; null if the relay's configuration decides. */
  type: string | null
  /** Whether the body names a workflow instead of an event type. */
  namesWorkflow: boolean
  /** The values that the simulation invented, one message each. */
  notes: string[]
}

/** The run ID for a body without one, such as Port's suggested body, whose run ID is in a header. */
const RUN_ID = 'r_LocalTrial00000'

/**
 * Reads the `--event` file. Returns a dispatch unchanged. For a webhook body, returns the relay's dispatch.
 *
 * @throws Error with a message that names the file
 */
export function readEvent(file: string): SimulationEvent {
  const given = parse(file)
  const event = isObject(given) ? given : {}
  if (readClientPayload(event.client_payload)) {
    const payload = event.client_payload as JsonObject
    const notes =
      payload.run_id === null ? ['The event names no run in Port, so no updates are sent to Port.'] : []
    const type = text(event.event_type) ?? text(event.action) ?? text(payload.action)
    return { payload, invocation: null, body: {}, type, namesWorkflow: false, notes }
  }
  if (isObject(event.client_payload)) {
    throw new Error(
      `${file} is a repository_dispatch event that isn't from the relay: its client_payload has no "port" with "version", ` +
        '"delivery" and "inputs", so the action would fail on GitHub. --event accepts an event from the relay, or the ' +
        'webhook body that Port sends. https://github.com/org/port-webhook-action/blob/main/docs/action.md shows an example.',
    )
  }
  if (isObject(event.invocationMethod)) {
    throw new Error(
      `${file} is a Port action's definition. --event accepts the webhook body that Port sends when a user runs the ` +
        'action. https://github.com/org/port-webhook-action/blob/main/docs/action.md shows an example.',
    )
  }
  if (!isObject(given) && !Array.isArray(given)) {
    throw new Error(`${file} must contain an object or a list, because Port sends no other body.`)
  }
  const run = isObject(event.run) ? event.run : {}
  const sent = isObject(run.payload) ? run.payload.body : null
  const kept = isObject(sent) || Array.isArray(sent) ? (sent as JsonObject | Json[]) : null
  if (kept === null && event.ok === true && isObject(event.run)) {
    throw new Error(
      `${file} is Port's response about a run, but its run.payload.body, the webhook body that Port sent, is neither an ` +
        `object nor a list. --event accepts the response of GET /v1/actions/runs/${text(run.id) ?? 'RUN-ID'}?version=v2 ` +
        'for an action that calls a webhook.',
    )
  }
  const body = kept ?? (given as Json)
  const read = readInvocation(body, kept && text(run.id))
  const known = read.kind !== 'none'
  const invocation: Invocation = known ? read : { ...read, runId: RUN_ID, kind: 'action_run' }
  const payload = packClientPayload(invocation, { delivery: 'simulation', relay: null })
  return {
    invocation,
    payload: payload as unknown as JsonObject,
    body,
    type: invocation.github?.eventType ?? invocation.action,
    namesWorkflow: Boolean(invocation.github?.workflow),
    notes: [
      ...(kept
        ? [`The event is Port's response about a run, so the simulation uses its run.payload.body.`]
        : []),
      ...(known ? [] : [`The body names no run in Port, so the simulation uses the run id ${RUN_ID}.`]),
    ],
  }
}

function parse(file: string): unknown {
  const content = readText(file, '--event')
  try {
    return JSON.parse(content)
  } catch (cause) {
    throw new Error(`${file} isn't JSON: ${(cause as Error).message}.`, { cause })
  }
}

const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)

/**
 * Reads a file from the command line, relative to the folder in which npm was called.
 *
 * @throws Error with a message that names the file and the option
 */
export function readText(file: string, option: string): string {
  try {
    return readFileSync(fromHere(file), 'utf8').replace(/^\ufeff/, '')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const why =
      code === 'ENOENT' ? "doesn't exist" : code === 'EISDIR' ? 'is a folder' : `can't be read (${code})`
    throw new Error(`${file} ${why}: ${option} needs the path of a file.`, { cause })
  }
}

/** Resolves a path from the folder in which the user called npm. Scripts themselves run in the project's folder. */
export function fromHere(file: string): string {
  const { npm_lifecycle_event: script, INIT_CWD: folder } = process.env
  return resolve(script === 'simulate' && folder ? folder : '.', file)
}
