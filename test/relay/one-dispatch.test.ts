import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { until } from '../../simulator/http-server.ts'
import { cutting } from '../support/cutting-proxy.ts'
import { openRelayHere, relayEnv, startServices } from '../support/relay.ts'
import { send } from '../support/requests.ts'
import { newDatabase } from '../support/shared-postgres.ts'

/** Columns: when the connection is cut, the text of the request that is cut, and the text of the response that is cut. */
test.each<[string, string | null, string | null]>([
  ['before the commit of a delivery', 'INSERT INTO deliveries', null],
  ['after the commit of a delivery', null, 'INSERT 0'],
  // `token:` is the scope of a rate-limit pause, which is a parameter of the claim only.
  ['before the commit of its claim', 'token:', null],
  ['after the commit of its claim', null, 'COMMIT'],
])(
  'if the connection to PostgreSQL is lost %s, GitHub gets one dispatch, without a search for its workflow run',
  async (_, request, response) => {
    const { github, env } = await startServices()
    const { address, cut, cutBefore } = await cutting({ url: await newDatabase() })
    github.addRepository('acme/shop')
    const relay = await openRelayHere(relayEnv({ ...env, RELAY_DATABASE: address.url }))
    // The relay's first claim finds nothing.
    await sleep(200)
    if (request) cutBefore(request)
    if (response) cut(1, response)
    const body = { run: { id: 'r_1' }, inputs: {} }
    expect((await send(relay.url, { body })).status).toBe(202)
    await until(() => github.dispatches.length > 0, 'GitHub gets the dispatch', 30_000)
    const isDispatch = ({ path }: { path: string }) => path.endsWith('/dispatches')
    const before = github.requests.slice(0, github.requests.findIndex(isDispatch))
    expect(before.filter(({ path }) => path.includes('/actions/runs'))).toEqual([])
    await relay.stop()
    expect(github.dispatches).toHaveLength(1)
  },
)
