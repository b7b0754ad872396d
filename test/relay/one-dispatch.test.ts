import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../../simulator/http-server.ts'
import { cutting } from '../support/cutting-proxy.ts'
import { startPostgres } from '../support/postgres.ts'
import { seededRandom } from '../support/random.ts'
import { openRelayHere, relayEnv } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { startServices } from '../support/services.ts'
import { newDatabase } from '../support/shared-postgres.ts'

/** `DISPATCH_PAIRS=300 npx vitest run test/relay/one-dispatch.test.ts` sends more pairs of webhooks. */
const PAIRS = Number(process.env.DISPATCH_PAIRS ?? 40)
const SEED = Date.now()

test(`if two webhooks for one repository reach two idle relays 0 to 20 ms apart, GitHub gets the second dispatch after its response to the first one (seed ${SEED})`, async () => {
  const random = seededRandom(SEED)
  const { github, env } = await startServices()
  // Commits take as long as on a network disk.
  const server = await startPostgres({ settings: { commit_delay: '5000', commit_siblings: '0' } })
  onTestFinished(server.close)
  const database = await server.createDatabase()
  const shared = relayEnv({ ...env, RELAY_DISPATCH_RATE: '0', RELAY_DATABASE: database })
  github.addRepository('acme/shop')
  const relays = await Promise.all([openRelayHere(shared), openRelayHere(shared)])
  let overlaps = 0
  github.fail({
    match(request) {
      const isDispatch = ({ path }: typeof request) => path.endsWith('/dispatches')
      const open = github.requests.filter(each => isDispatch(each) && each.status === undefined)
      if (isDispatch(request) && open.length > 1) overlaps++
      return isDispatch(request)
    },
    ...{ times: Number.POSITIVE_INFINITY, delayMs: 30, takesEffect: true, status: 204, body: '' },
  })
  for (let pair = 1; pair <= PAIRS; pair++) {
    const sent = relays.map(async ({ url }, relay) => {
      await sleep(random() * 20)
      const body = { run: { id: `r_${pair}_${relay}` }, inputs: {} }
      expect((await send(url, { body })).status).toBe(202)
    })
    await Promise.all(sent)
    await until(() => github.dispatches.length === 2 * pair, 'both deliveries are dispatched')
    await sleep(20)
  }
  expect(overlaps).toBe(0)
})

/** Columns: when the connection is cut, the text of the request that is cut, and the text of the response that is cut. */
test.each<[string, string | null, string | null]>([
  ['before the commit of a delivery', 'INSERT INTO deliveries', null],
  ['after the commit of a delivery', null, 'INSERT 0'],
  // Only the claim has a parameter with this text: the scope of rate-limit pauses.
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
