import { expect, test } from 'vitest'
import { until } from '../../simulator/http-server.ts'
import { openProxy } from '../support/proxy.ts'
import { relayEnv, runRelay, startRelay, startServices } from '../support/relay.ts'
import { send } from '../support/requests.ts'

test('a relay connects to GitHub through http_proxy, and to localhost directly, even if NO_PROXY lists other hosts; blank variables and line breaks are ignored', async () => {
  const { port, github, env } = await startServices()
  github.addRepository('acme/shop')
  const { url, hosts } = await openProxy(github.url)
  const proxy = { NO_PROXY: 'a.example', http_proxy: `${url}\n`, HTTPS_PROXY: ' ', HTTP_PROXY: '' }
  const relay = await startRelay({
    ...relayEnv({ ...env, GITHUB_API_URL: 'http://github.example' }),
    ...proxy,
  })
  const run = port.createRun()
  await send(relay.url, { body: { run: { id: run.id }, inputs: {} } })
  await until(() => github.dispatches.length === 1 && run.logs.length > 0, 'GitHub and Port get requests')
  expect([...new Set(hosts)]).toEqual(['github.example:80'])
})

// relay/config.test.ts has more invalid values.
test('a relay with an invalid proxy refuses to start and prints the reason without the value', async () => {
  const HTTPS_PROXY = 'https://user:hunter2%zz@proxy.example.com'
  const problem =
    'HTTPS_PROXY must be an http(s) URL, such as http://proxy.example.com:3128; in a user name or password, write % as %25'
  expect(await runRelay(relayEnv({ HTTPS_PROXY }))).toEqual({
    code: 1,
    stdout: '',
    stderr: `The configuration has a problem:\n  - ${problem}\n`,
  })
  expect(await runRelay({ HTTPS_PROXY }, ['--version'])).toMatchObject({ code: 0, stderr: '' })
  const env = { HTTPS_PROXY, RELAY_ADMIN_TOKEN: 'an-admin-token-of-some-length' }
  expect(await runRelay(env, ['deliveries'])).toEqual({ code: 1, stdout: '', stderr: `${problem}.\n` })
})
