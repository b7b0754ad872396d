import { readFileSync } from 'node:fs'
import { readInvocation } from '../../port/invocation/invocation.ts'
import { type ClientPayload, readClientPayload } from '../../port/payload.ts'
import { parseJson, trimEnd } from '../../port/text.ts'
import { isObject, type Json, type RunState } from '../../port/types.ts'
import type { Inputs } from './inputs.ts'
import { help, quote, type RelayAccess, type Runner } from './runner.ts'

/**
 * Returns the payload from the input `payload`, from the `client_payload` of a `repository_dispatch`, or from the input
 * `port` of a `workflow_dispatch`. Returns null if a user started the workflow on GitHub, so that `port` is empty.
 */
export function readPayload(
  input: string,
  workflow: { event: string; eventPath: string },
  env: Runner['env'],
): ClientPayload | null {
  const given = input === '' ? fromEvent(workflow.eventPath, env) : fromInput(input, PAYLOAD, env)
  if (given === null) return null
  const payload = read(given, env)
  if (payload) return payload
  if (input !== '') {
    throw new Error(
      'The input "payload" doesn\'t contain a payload from the relay: pass the output "payload" of this action, or ' +
        `\${{ toJSON(github.event.client_payload) }} of a repository_dispatch event.${help(env, 'payload')}`,
    )
  }
  throw new Error(
    `This workflow run was started by ${workflow.event}, without a payload from the relay. This action expects the event ` +
      'repository_dispatch that the relay sends for an action in Port (on: { repository_dispatch: { types: ' +
      '[<identifier of the action>] } }), a workflow_dispatch with the input "port", or the payload in the input ' +
      `"payload".${help(env, 'payload')}`,
  )
}

const PAYLOAD = 'The input "payload" isn\'t JSON: set it to ${{ toJSON(…) }}.'
const PORT =
  'The input "port" isn\'t JSON. The relay sets this input; leave it empty if you start the workflow on GitHub.'

function fromEvent(path: string, env: Runner['env']): unknown {
  const event = readEvent(path, env)
  if (!isObject(event)) return undefined
  if (event.client_payload) return event.client_payload
  const port = isObject(event.inputs) ? event.inputs.port : undefined
  if (typeof port !== 'string') return undefined
  return port.trim() === '' ? null : (fromInput(port, PORT, env) ?? undefined)
}

function readEvent(path: string, env: Runner['env']): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    // V8's message for invalid JSON is omitted, because it quotes the event, which contains the user's inputs.
    const reason = cause instanceof SyntaxError ? "it isn't JSON" : (cause as Error).message
    const sentence = `The event of this run (GITHUB_EVENT_PATH, ${path}) couldn't be read: ${reason}.`
    throw new Error(sentence + help(env, 'runner'), { cause })
  }
}

function read(value: unknown, env: Runner['env']): ClientPayload | null {
  try {
    return readClientPayload(value)
  } catch (error) {
    throw new Error((error as Error).message + help(env, 'payload'), { cause: error })
  }
}

function fromInput(text: string, sentence: string, env: Runner['env']): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Error(sentence + help(env, 'payload'), { cause })
  }
}

/**
 * Returns the payload with the items that didn't fit in it. Reads these items from the webhook body that Port stores,
 * or else from the Port run's properties.
 * @param readRun null if Port can't be queried
 * @throws Error with a message that names the missing items and the required settings
 */
export async function completePayload(
  payload: ClientPayload,
  readRun: (() => Promise<RunState>) | null,
): Promise<ClientPayload> {
  const { truncated } = payload.port
  if (truncated.length === 0) return payload
  if (payload.run_id === null || payload.port.kind !== 'action_run') {
    throw new Error(
      `${tooLarge(truncated)}, and Port's API returns the missing parts only for action runs. Give the job "permissions: id-token: ` +
        'write", so that the action gets them from the relay (RELAY_PUBLIC_URL must be set), or send less data in the body of the webhook.',
    )
  }
  if (!readRun) {
    throw new Error(
      `${tooLarge(truncated)}. Give the job "permissions: id-token: write", so that the action gets the missing parts from the relay ` +
        '(RELAY_PUBLIC_URL must be set), or set the inputs port-client-id and port-client-secret, so that the action gets them from ' +
        `Port's run ${payload.run_id}.`,
    )
  }
  const run = await readRun().catch(cause => {
    throw new Error(
      `${tooLarge(truncated)}, and the action couldn't get the missing parts: ${cause.message}`,
      { cause },
    )
  })
  return restore(payload, run)
}

function restore(payload: ClientPayload, run: RunState): ClientPayload {
  const { port } = payload
  const left = new Set(port.truncated)
  const body = readInvocation(parse(run.body) ?? undefined)
  const properties = run.properties ?? {}
  const all = Object.keys(body.inputs).length > 0 ? body.inputs : properties
  const both = { ...properties, ...body.inputs }

  // An input can have the name of an inherited property, such as `constructor` or `__proto__`.
  const found = new Map<string, Json>()
  for (const name of new Set([body.inputs, properties, port.inputs].flatMap(each => Object.keys(each)))) {
    const rest = left.has(`inputs.${name}`) ? both : left.has('inputs') ? all : {}
    const source = [port.inputs, rest].find(each => Object.hasOwn(each, name))
    if (source) found.set(name, source[name]!)
  }
  const inputs = Object.fromEntries(found)
  const missing = port.truncated.filter(
    name =>
      (name.startsWith('inputs.') && !found.has(name.slice('inputs.'.length))) ||
      (name === 'inputs' && found.size === 0) ||
      (name === 'entity' && body.entity === null) ||
      (name === 'event' && body.event === null),
  )
  if (missing.length > 0) {
    const names = missing.length === port.truncated.length ? 'that' : quote(missing)
    throw new Error(
      `${tooLarge(port.truncated)}, and Port's run ${payload.run_id} doesn't contain ${names} either: send less data in the ` +
        'body of the webhook.',
    )
  }
  return {
    ...payload,
    port: {
      ...port,
      inputs,
      encrypted: left.has('encrypted') ? body.encrypted : port.encrypted,
      entity: left.has('entity') ? body.entity : port.entity,
      event: left.has('event') ? body.event : port.event,
      truncated: [],
    },
  }
}

const tooLarge = (names: string[]) =>
  `The payload was too large for GitHub, so it doesn't contain ${quote(names)}`

/** Returns the JSON in a body. Port stores a string if the author wrote the body as a string. */
function parse(body: Json): Json {
  const parsed = typeof body === 'string' ? parseJson(body) : body
  return parsed === undefined ? body : parsed
}

/** Returns how to reach the relay; null without a relay URL or an OIDC token. @throws Error if `relay-url` has another address */
export function findRelay(
  payload: ClientPayload,
  { report, relayUrl, failOnReportError }: Pick<Inputs, 'report' | 'relayUrl' | 'failOnReportError'>,
  env: Runner['env'],
): RelayAccess | null {
  const { relay, delivery, truncated } = payload.port
  if (relay !== null && relayUrl !== '' && trimEnd(relay, '/') !== trimEnd(relayUrl, '/')) {
    throw new Error(
      `The payload contains the relay address ${relay}, but the input relay-url accepts only ${relayUrl}. If the relay has moved, ` +
        `change relay-url. If not, another relay started this workflow run.${help(env, 'payload')}`,
    )
  }
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken } = env
  if (relay === null || !url || !requestToken) return null
  return {
    ...{ url: relay, delivery, complete: truncated.length > 0, required: failOnReportError },
    ...{ finishes: report !== 'updates' && report !== 'off', idToken: { url, requestToken }, token: null },
  }
}
