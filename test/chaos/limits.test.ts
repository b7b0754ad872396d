import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { type ReceivedRequest, until } from '../../simulator/http-server.ts'
import { send } from '../support/requests.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { type System, withSystem } from './system.ts'

const REPOSITORIES = 30
const isDispatch = ({ method, path }: ReceivedRequest) => method === 'POST' && path.endsWith('/dispatches')

/** Sends webhooks one after the other, so that their order is known. */
async function sendAll({ port }: System, url: string, count: number, from = 0): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, n) => port.createRun({ id: `r_${from + n}` }).id)
  for (const [n, id] of ids.entries()) {
    const repository = `acme/shop-${(from + n) % REPOSITORIES}`
    await send(url, { body: { run: { id }, github: { repository }, inputs: {} } })
  }
  return ids
}

/** Returns the requests in the pause after the first refusal, except those that were refused or that have no limit. */
function tooEarly(requests: ReceivedRequest[], wait: number): string[] {
  const refused = requests.find(each => each.status === 403) as ReceivedRequest
  return requests
    .slice(requests.indexOf(refused))
    .filter(({ path, status }) => path !== '/rate_limit' && status !== undefined && status !== 403)
    .filter(({ at }) => at < refused.at + wait * 1000)
    .map(({ method, path, at }) => `${method} ${path} after ${at - refused.at} ms`)
}

test('a rate-limit pause applies to all relays on a PostgreSQL database, and Port gets one message about it', async () => {
  const database = await newDatabase()
  const options = { connected: true, repositories: REPOSITORIES, runs: 'none', database, relays: 2 } as const
  await withSystem(options, async system => {
    const { port, github, relays } = system
    await Promise.all(relays.map(each => each.start()))
    // GitHub responds when the maximum number of concurrent dispatches is pending. Port shows the pause after 30 seconds.
    github.fail({
      ...{ match: isDispatch, delayMs: 1_500, status: 403, headers: { 'retry-after': '60' } },
      body: { message: 'You have exceeded a secondary rate limit.' },
    })
    const first = await sendAll(system, relays[0]!.url, 1)
    // Until the pause is in the database, the other relay sends dispatches.
    const client = new pg.Client(database)
    await client.connect()
    onTestFinished(() => client.end())
    const isPaused = async () => (await client.query('SELECT 1 FROM rate_limit_pauses')).rows.length > 0
    await until(isPaused, 'the pause is persisted')
    const ids = [...first, ...(await sendAll(system, relays[1]!.url, 59, 1))]
    const waiting = (id: string) =>
      port.run(id).logs.filter(({ message }) => message.startsWith("Waiting for GitHub's rate limit"))
    await until(() => ids.every(id => waiting(id).length > 0), 'Port shows that every delivery waits')
    expect(github.dispatches, 'no dispatch during the pause').toEqual([])
    await relays[0]!.kill()
    await until(() => github.dispatches.length === 60, 'all deliveries are dispatched', 120_000)
    expect(tooEarly(github.requests, 60)).toEqual([])
    for (const id of ids) expect(waiting(id), id).toHaveLength(1)
  })
})
