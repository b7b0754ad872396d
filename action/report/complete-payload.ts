import type { ClientPayload } from '../../port/client-payload.ts'
import { readInvocation } from '../../port/invocation/read-invocation.ts'
import { parseJson } from '../../port/parse-json.ts'
import type { Json, RunState } from '../../port/types.ts'

/**
 * Puts back what did not fit into GitHub's payload, from Port's run: its body as Port rendered it, else its
 * properties. The result is what the relay would have sent without a limit, to the order of the keys.
 *
 * @param readRun null where nobody can be asked
 * @throws Error with a sentence that names what is missing and the settings to give
 */
export async function completePayload(
  payload: ClientPayload,
  readRun: (() => Promise<RunState>) | null,
): Promise<ClientPayload> {
  const { truncated } = payload.port
  if (truncated.length === 0) return payload
  if (payload.run_id === null || payload.port.kind !== 'action_run') {
    throw new Error(
      `${tooLarge(truncated)}, and only the run of an action in Port can be asked for the rest: send less in the ` +
        'body of the webhook.',
    )
  }
  if (!readRun) {
    throw new Error(
      `${tooLarge(truncated)}. Give the job "permissions: id-token: write", so that the rest is fetched from the relay (if its ` +
        'RELAY_PUBLIC_URL is set), or set the inputs port-client-id and port-client-secret, so that it is fetched from ' +
        `Port's run ${payload.run_id}.`,
    )
  }
  const run = await readRun().catch(cause => {
    throw new Error(`${tooLarge(truncated)}, and the rest could not be fetched: ${cause.message}`, { cause })
  })
  return restore(payload, run)
}

function restore(payload: ClientPayload, run: RunState): ClientPayload {
  const { port } = payload
  const left = new Set(port.truncated)
  const body = readInvocation(parse(run.body) ?? undefined)
  const properties = run.properties ?? {}
  const all = Object.keys(body.inputs).length > 0 ? body.inputs : properties

  // An input may be called as what every object inherits, `constructor` or `__proto__`.
  const found = new Map<string, Json>()
  for (const name of new Set([
    ...Object.keys(body.inputs),
    ...Object.keys(properties),
    ...Object.keys(port.inputs),
  ])) {
    const rest = left.has(`inputs.${name}`)
      ? { ...properties, ...body.inputs }
      : left.has('inputs')
        ? all
        : {}
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
      `${tooLarge(port.truncated)}, and Port's run ${payload.run_id} does not hold ${names} either: send less in the ` +
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
  `The payload was too large for GitHub, so ${quote(names)} did not come with it`

const quote = (names: string[]) => names.map(name => `"${name}"`).join(', ')

/** Port keeps a body that its author templated as a text as that text. */
function parse(body: Json): Json {
  const parsed = typeof body === 'string' ? parseJson(body) : body
  return parsed === undefined ? body : parsed
}
