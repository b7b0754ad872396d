import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { type ReceivedRequest, until } from '../../tools/simulator/http-server.ts'
import { startPortApi } from '../../tools/simulator/port/port.ts'
import { relayEnv, startRelay } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { SECRET } from '../support/sign.ts'

/** The maximum number of concurrent dispatches per relay. */
const CONCURRENCY = 20
const WAIT_S = 4
const isDispatch = ({ method, path }: ReceivedRequest) => method === 'POST' && path.endsWith('/dispatches')

async function startSystem(repositories: number, more: Record<string, string> = {}) {
  const [port, github] = await Promise.all([startPortApi({ clientSecret: SECRET }), startGitHubApi()])
  onTestFinished(async () => void (await Promise.all([port.close(), github.close()])))
  const names = Array.from({ length: repositories }, (_, n) => `acme/shop-${n}`)
  for (const name of names) github.addRepository(name)
  const env = relayEnv({
    PORT_CLIENT_ID: port.clientId,
    PORT_API_URL: port.url,
    GITHUB_API_URL: github.url,
    GITHUB_TOKEN: github.token,
    RELAY_ALLOWED_REPOSITORIES: 'acme/*',
    RELAY_DISPATCH_RATE: '0',
    ...more,
  })
  return {
    port,
    github,
    env,
    /** Sends webhooks one after the other, so that their order is known. */
    async sendAll(url: string, count: number, from = 0): Promise<string[]> {
      const ids = Array.from({ length: count }, (_, n) => port.createRun({ id: `r_${from + n}` }).id)
      for (const [n, id] of ids.entries()) {
        const repository = names[(from + n) % names.length] as string
        await send(url, { body: { run: { id }, github: { repository }, inputs: {} } })
      }
      return ids
    },
    /** Makes GitHub rate limit dispatches once the maximum of concurrent dispatches is pending. */
    limit: (times = CONCURRENCY, wait = WAIT_S) =>
      github.fail({
        match: isDispatch,
        times,
        delayMs: 1_500,
        status: 403,
        headers: { 'retry-after': String(wait) },
        body: { message: 'You have exceeded a secondary rate limit.' },
      }),
    asked: () => github.requests.filter(isDispatch),
  }
}

/** Returns requests in the pause after the first refusal. Omits refused requests, and requests exempt from limits. */
function tooEarly(requests: ReceivedRequest[], wait: number): string[] {
  const refused = requests.find(each => each.status === 403) as ReceivedRequest
  return requests
    .slice(requests.indexOf(refused))
    .filter(({ path, status }) => path !== '/rate_limit' && status !== undefined && status !== 403)
    .filter(({ at }) => at < refused.at + wait * 1000)
    .map(({ method, path, at }) => `${method} ${path} after ${at - refused.at} ms`)
}

test('after a kill, the rate-limit pause still applies, even to deliveries that no relay has claimed', async () => {
  const { github, env, sendAll, limit, asked } = await startSystem(30, { RELAY_START_TIMEOUT: '6s' })
  const relay = await startRelay(env)
  limit()
  const ids = await sendAll(relay.url, 30)
  await until(() => asked().some(each => each.status === 403), 'GitHub asks to wait')
  await sleep(200)
  await relay.kill()
  expect(asked().length).toBeLessThanOrEqual(CONCURRENCY)
  const next = await startRelay(env)
  await until(() => github.dispatches.length === ids.length, 'all deliveries are dispatched')
  expect(tooEarly(github.requests, WAIT_S)).toEqual([])
  await next.stop()
})

test('a rate-limit pause applies to all relays on one PostgreSQL database, and Port gets only one message', async () => {
  const { port, github, env, sendAll, limit } = await startSystem(30, {
    RELAY_DATABASE: await newDatabase(),
  })
  const [relay, other] = await Promise.all([startRelay(env), startRelay(env)])
  limit(1, 12)
  const first = await sendAll(relay.url, 1)
  await until(() => port.run('r_0').logs.length > 0, 'GitHub asks to wait')
  const ids = [...first, ...(await sendAll(other.url, 59, 1))]
  const waiting = (id: string) => port.run(id).logs.filter(({ message }) => message.startsWith('Waiting'))
  await until(() => ids.every(id => waiting(id).length > 0), 'Port shows that every delivery waits')
  expect(github.dispatches, 'no dispatch during the pause').toEqual([])
  await relay.kill()
  await until(() => github.dispatches.length === 60, 'all deliveries are dispatched')
  expect(tooEarly(github.requests, 12)).toEqual([])
  for (const id of ids) expect(waiting(id), id).toHaveLength(1)
})

test('RELAY_DISPATCH_RATE also applies across a restart: a burst of 20 dispatches, then the configured rate', async () => {
  const { github, env, sendAll } = await startSystem(28, { RELAY_DISPATCH_RATE: '120' })
  const relay = await startRelay(env)
  await sendAll(relay.url, 28)
  await until(() => github.dispatches.length >= 21, 'the burst is dispatched')
  const [started] = github.dispatches
  await relay.stop()
  await startRelay(env)
  await until(() => github.dispatches.length === 28, 'all deliveries are dispatched')
  for (const [n, { at }] of github.dispatches.entries()) {
    const allowed = 20 + ((at - (started as { at: number }).at) / 1000) * 2
    // The first dispatch occurs shortly after the token bucket started to refill.
    expect(n + 1, `after ${at - (started as { at: number }).at} ms`).toBeLessThanOrEqual(allowed + 2)
  }
  expect((github.dispatches[27]?.at ?? 0) - (started as { at: number }).at).toBeGreaterThan(2_500)
})
