import { createPortClient, PortError } from '../../port/client/client.ts'
import { isEmpty, object } from '../../port/invocation/values.ts'
import { isObject, type JsonObject } from '../../port/types.ts'
import { notPolled, partsOf } from '../generate/merge.ts'
import { relayOf } from '../migrate/port-action.ts'
import { type Check, type Finding, ok, problem, TIMEOUT_MS, warning } from './check.ts'

/** Checks what Port's agent needs, if definitions in Port call a relay through the agent. */
export const agent: Check = {
  name: 'agent',
  async run({ config, clock, fetch, failed }) {
    const { clientId, apiUrl, secrets } = config.port
    if (clientId === null || failed.includes('port')) return []
    const port = createPortClient({
      ...{ apiUrl, clientId, clientSecret: secrets[0], clock, timeoutMs: TIMEOUT_MS },
      fetch: (url, init) => fetch(url, { ...init, redirect: 'manual' }),
    })
    // If the credentials can't read the definitions, it stays unknown whether an agent is needed.
    const list = async (kind: 'actions' | 'workflows', query = '') => {
      const listed = object(await port.request('GET', `/v1/${kind}${query}`).catch(() => null))[kind]
      return Array.isArray(listed) ? listed.filter(isObject) : []
    }
    const definitions = [...(await list('actions', '?version=v2')), ...(await list('workflows'))]
    const ours = definitions.filter(each => webhooksOf(each).length > 0)
    if (ours.length === 0) return []
    const names = ours.map(({ identifier }) => identifier).join(', ')
    const read = await port.request('GET', '/v1/organization').catch((error: Error) => error)
    const transport =
      read instanceof Error
        ? null
        : String(object(object(object(read).organization).settings).portAgentStreamerName ?? 'KAFKA')
    return [
      describeTransport(transport, names, read),
      clientId.includes('@') &&
        problem(
          "PORT_CLIENT_ID belongs to a user: Port's agent can claim runs only with the organization's credentials.",
        ),
      new URL(apiUrl).host === 'api.getport.io' &&
        warning("Port's agent can't claim runs at api.getport.io: set PORT_API_URL to https://api.port.io."),
      ...(transport === 'POLLING' ? ours.flatMap(missing) : []),
    ]
  },
}

/** Returns the definition's webhooks that an agent sends to a relay. */
const webhooksOf = (definition: JsonObject) =>
  partsOf(definition).webhooks.filter(webhook => webhook.agent === true && relayOf(webhook) !== null)

function describeTransport(transport: string | null, names: string, read: unknown): Finding {
  if (transport === null) {
    const why = read instanceof PortError && read.status ? ` (${read.status})` : ''
    return ok(
      `Port's agent passes ${names} to the relay. The organization's settings can't be read${why}, so the agent's transport is unknown.`,
    )
  }
  if (transport === 'POLLING')
    return ok(`Port's agent polls for runs of ${names}, so Port doesn't need to reach the relay.`)
  return warning(
    `Port sends runs of ${names} to an agent with the transport ${transport}. An agent that polls gets none of them: start it with STREAMER_NAME=POLLING, which changes the transport of the whole organization.`,
  )
}

function missing(definition: JsonObject): Finding[] {
  const { identifier } = definition
  const webhooks = webhooksOf(definition)
  const lost = notPolled({ ...partsOf(definition), webhooks })
  return [
    ...(webhooks.some(({ body }) => isEmpty(object(body)))
      ? [
          problem(
            `${identifier} has no body, so Port's agent gets no inputs: use the body that generate prints.`,
          ),
        ]
      : []),
    ...(lost.length > 0
      ? [problem(`${identifier}: Port doesn't send ${lost.join(', ')} to an agent that polls.`)]
      : []),
  ]
}
