import { expect, onTestFinished, test } from 'vitest'
import { type GitHubApi, startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { relayEnv, startRelay } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { SECRET } from '../support/sign.ts'

async function openGitHub(): Promise<{ github: GitHubApi; env: Record<string, string> }> {
  const github = await startGitHubApi()
  onTestFinished(() => github.close())
  github.addRepository('acme/shop')
  return { github, env: { GITHUB_API_URL: github.url, GITHUB_TOKEN: github.token } }
}

test('a replay within the tolerance is a duplicate on each of two relays, concurrently or later', async () => {
  const { github, env } = await openGitHub()
  const shared = relayEnv({ ...env, RELAY_DATABASE: await newDatabase() })
  const relays = await Promise.all([startRelay(shared), startRelay(shared)])
  const timestamp = String(Math.floor(Date.now() / 1000))
  const bodies = [{ run: { id: 'r_1' }, inputs: {} }, { no: 'run id' }]
  for (const body of bodies) {
    const responses = await Promise.all(
      Array.from({ length: 20 }, (_, n) => send(relays[n % 2]!.url, { body, timestamp })),
    )
    expect(responses.filter(response => response.status === 202)).toHaveLength(1)
    expect(
      responses.filter(response => response.status === 200 && response.body.duplicate === true),
    ).toHaveLength(19)
    expect(new Set(responses.map(response => response.body.delivery)).size).toBe(1)
  }
  // The header isn't signed. With another header value, the same signed bytes get 409.
  const again = await send(relays[1].url, { body: bodies[1], timestamp, headers: { run_id: 'r_other' } })
  expect(again.status).toBe(409)
  await until(() => github.dispatches.length >= 2, 'both are dispatched')
  await new Promise(resolve => setTimeout(resolve, 700))
  expect(github.dispatches.map(each => each.clientPayload.run_id)).toEqual(['r_1', null])
})

test.each(['SQLite', 'PostgreSQL'])(
  'a webhook that is replayed at another address starts nothing, whatever its first response was (%s)',
  async kind => {
    const { github, env } = await openGitHub()
    github.addRepository('acme/web')
    const shared = relayEnv({ ...env, RELAY_ALLOWED_REPOSITORIES: 'acme/shop,acme/web' })
    if (kind === 'PostgreSQL') shared.RELAY_DATABASE = await newDatabase()
    let relay = await startRelay(shared)
    const timestamp = String(Math.floor(Date.now() / 1000))
    const again = (path: string, body: unknown) => send(relay.url, { path, body, timestamp })
    const [accepted, headerOnly] = [{ run: { id: 'r_1' }, inputs: {} }, { inputs: {} }]
    const captured: [path: string, body: unknown, first: number, later: number][] = [
      ['/webhook/acme/shop', accepted, 202, 200],
      ['/webhook/acme/shop', headerOnly, 202, 200],
      ['/webhook/acme/foreign', { run: { id: 'r_2' }, inputs: {} }, 403, 403],
      ['/webhook', Buffer.from('{"no": JSON'), 400, 400],
      ['/webhook?unknown=1', { run: { id: 'r_3' }, inputs: {} }, 422, 422],
      ['/webhook/cancel', { run_id: 'r_unknown' }, 200, 200],
      ['/webhook/cancel', { run_id: 'r_1' }, 202, 202],
    ]
    const firsts: unknown[] = []
    for (const [path, body, status] of captured) {
      const first = await again(path, body)
      expect(first.status, path).toBe(status)
      firsts.push(first.body)
    }
    const replayAll = async () => {
      for (const [n, [path, body, , status]] of captured.entries()) {
        for (const elsewhere of ['/webhook/acme/web', '/webhook/acme/web?event_type=x', '/webhook/cancel']) {
          if (elsewhere !== path)
            expect(await again(elsewhere, body), `${path} at ${elsewhere}`).toMatchObject({
              status: 409,
              body: { detail: expect.stringContaining('was received at another address') },
            })
        }
        const { status: same, body: response } = await again(path, body)
        expect(same, path).toBe(status)
        if (n > 1) expect(response, path).toEqual(firsts[n])
      }
    }
    await replayAll()
    // The digest and the response survive a restart. The repository is allowed by now.
    await relay.stop()
    relay = await startRelay({ ...shared, RELAY_ALLOWED_REPOSITORIES: 'acme/shop,acme/web,acme/foreign' })
    await replayAll()
    expect(github.dispatches.filter(({ repository }) => repository !== 'acme/shop')).toEqual([])
    await relay.stop()
  },
  60_000,
)

test('configuration changes and restarts rotate secrets without missing a delivery', async () => {
  const { github, env } = await openGitHub()
  const [old, next] = [SECRET, 'the-secret-that-comes-next-0123456789']
  const base = relayEnv(env)
  const configurations: Record<string, string>[] = [
    { PORT_CLIENT_SECRET: old },
    { PORT_CLIENT_SECRET: old, PORT_PREVIOUS_SECRETS: next },
    { PORT_CLIENT_SECRET: next, PORT_PREVIOUS_SECRETS: old },
    { PORT_CLIENT_SECRET: next },
  ]
  // Port switches to the new secret halfway.
  const signers = [[old], [old, next], [next, old], [next]]
  let sent = 0
  for (const [step, secrets] of configurations.entries()) {
    const relay = await startRelay({ ...base, ...secrets })
    for (const secret of signers[step]!) {
      const response = await send(relay.url, { body: { run: { id: `r_${++sent}` }, inputs: {} }, secret })
      expect(response.status).toBe(202)
    }
    const strange = await send(relay.url, { body: { run: { id: 'r_x' } }, secret: 'of somebody else' })
    expect(strange.status).toBe(401)
    if (step === 0) expect((await send(relay.url, { secret: next })).status).toBe(401)
    if (step === 3) expect((await send(relay.url, { secret: old })).status).toBe(401)
    expect(await relay.stop()).toBe(0)
  }
  const relay = await startRelay({ ...base, PORT_CLIENT_SECRET: next })
  await until(() => github.dispatches.length === sent, 'all are dispatched')
  expect(github.dispatches.map(each => each.clientPayload.run_id)).toEqual(
    Array.from({ length: sent }, (_, n) => `r_${n + 1}`),
  )
  await relay.stop()
})
