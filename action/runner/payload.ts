import { readFileSync } from 'node:fs'
import { type ClientPayload, readClientPayload } from '../../port/client-payload.ts'
import { isObject } from '../../port/types.ts'
import { help } from './help.ts'
import type { Runner } from './runner.ts'

/**
 * The payload from the input `payload`; else from the event: the `client_payload` of a `repository_dispatch`, or the input
 * `port` of a `workflow_dispatch`. Null if that is empty: a user has started the workflow on GitHub.
 *
 * @throws Error with a sentence that names the event expected
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
      'The input "payload" holds no payload of the relay: pass the output "payload" of this action, or ' +
        `\${{ toJSON(github.event.client_payload) }} of a repository_dispatch event.${help(env, 'payload')}`,
    )
  }
  throw new Error(
    `This run was started by ${workflow.event}, with no payload of the relay. This action expects the event ` +
      'repository_dispatch that the relay sends for an action in Port (on: { repository_dispatch: { types: ' +
      '[<identifier of the action>] } }), a workflow_dispatch with the input "port", or the payload in the input ' +
      `"payload".${help(env, 'payload')}`,
  )
}

const PAYLOAD = 'The input "payload" is not JSON: give it as ${{ toJSON(…) }}.'
const PORT =
  'The input "port" is not JSON: the relay fills it in; leave it empty where you start the workflow by hand.'

/** Null where the input `port` is empty. */
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
    // What V8 says of a text that is no JSON quotes from it.
    const reason = cause instanceof SyntaxError ? 'it is not JSON' : (cause as Error).message
    const sentence = `The event of this run (GITHUB_EVENT_PATH, ${path}) could not be read: ${reason}.`
    throw new Error(sentence + help(env, 'runner'), { cause })
  }
}

/** @throws Error where it is of a version that this action does not know */
function read(value: unknown, env: Runner['env']): ClientPayload | null {
  try {
    return readClientPayload(value)
  } catch (error) {
    throw new Error((error as Error).message + help(env, 'payload'), { cause: error })
  }
}

/** @throws Error with the sentence where it is not JSON */
function fromInput(text: string, sentence: string, env: Runner['env']): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Error(sentence + help(env, 'payload'), { cause })
  }
}
