import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../relay/config/config.ts'
import { createRelay } from '../../relay/relay.ts'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { startPortApi } from '../../tools/simulator/port/port.ts'
import { openRelayHere, relayEnv } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { SECRET } from '../support/sign.ts'
import { withoutDelivery } from '../support/without-delivery.ts'

/* The parts as the command `serve` puts them together, without a process of their own. */

test('a delivery goes in, GitHub gets it once, Port shows it, and a stop waits for all of it', async () => {
  const [port, github] = await Promise.all([startPortApi({ clientSecret: SECRET }), startGitHubApi()])
  onTestFinished(async () => {
    await Promise.all([port.close(), github.close()])
  })
  github.addRepository('acme/shop')
  const run = port.createRun({ action: 'deploy' })
  const env = relayEnv({
    HOST: '127.0.0.1',
    PORT: '0',
    PORT_CLIENT_ID: port.clientId,
    PORT_API_URL: port.url,
    GITHUB_API_URL: github.url,
    GITHUB_TOKEN: github.token,
    RELAY_REPOSITORY: 'acme/shop',
  })
  const relay = await createRelay(readConfig(env), pino({ level: 'silent' }))
  const response = await send(`http://127.0.0.1:${relay.port}`, {
    body: { version: '1', port_context: { runId: run.id } },
  })
  expect(response).toMatchObject({ status: 202, body: { run_id: run.id, repository: 'acme/shop' } })
  await until(() => port.run(run.id).logs.length > 0, 'Port is updated')
  await relay.stop()
  expect(github.dispatches).toHaveLength(1)
  expect(port.run(run.id).logs.map(line => withoutDelivery(line.message))).toEqual([
    'Dispatched "port_action" to acme/shop; waiting for its workflow to start.',
  ])
  await expect(fetch(`http://127.0.0.1:${relay.port}/healthz`)).rejects.toThrow()
})

test('a delivery that fails is a line of the log, when it is dispatched as when it is watched', async () => {
  const github = await startGitHubApi()
  onTestFinished(() => github.close())
  github.addRepository('acme/shop')
  const relay = await openRelayHere(
    relayEnv({
      GITHUB_API_URL: github.url,
      GITHUB_TOKEN: github.token,
      RELAY_ALLOWED_REPOSITORIES: 'acme/*',
      RELAY_START_TIMEOUT: '1s',
    }),
  )
  const deliver = async (name: string) => {
    const path = `/webhook/acme/${name}?event_type=deploy`
    const { body } = await send(relay.url, { body: { port_context: { runId: `r_${name}` } }, path })
    const about = {
      delivery: body.delivery,
      run: `r_${name}`,
      repository: `acme/${name}`,
      event_type: 'deploy',
    }
    return { level: 30, ...about }
  }
  const expected = [await deliver('none'), await deliver('shop')]
  const failures = () => relay.log().filter(line => line.state === 'failed')
  await until(() => failures().length === 2, 'both have failed', 20_000)
  expect(failures()).toMatchObject(expected)
  expect(failures().map(line => line.reason)).toEqual([
    expect.stringContaining('GitHub cannot see acme/none'),
    expect.stringContaining('No workflow in acme/shop listens to repository_dispatch type deploy'),
  ])
})

test('an address that is taken is refused with a sentence, and the database is let go', async () => {
  const first = await createRelay(
    readConfig(relayEnv({ HOST: '127.0.0.1', PORT: '0' })),
    pino({ level: 'silent' }),
  )
  onTestFinished(() => first.stop())
  const env = relayEnv({ HOST: '127.0.0.1', PORT: String(first.port) })
  await expect(createRelay(readConfig(env), pino({ level: 'silent' }))).rejects.toThrow(
    `The relay cannot listen on 127.0.0.1:${first.port} (EADDRINUSE): set HOST and PORT to a free address.`,
  )
  const again = await createRelay(readConfig({ ...env, PORT: '0' }), pino({ level: 'silent' }))
  await again.stop()
})
