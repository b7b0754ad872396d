import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../../tools/simulator/http-server.ts'
import { relayEnv, runRelay, startRelay } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { startServices } from '../support/services.ts'

/** Starts a proxy that connects every tunnel to the fake GitHub, and refuses other requests with 501. */
async function openProxy(target: string): Promise<{ url: string; hosts: Set<string> }> {
  const { port } = new URL(target)
  const hosts = new Set<string>()
  const proxy = createServer((request, response) => {
    hosts.add(new URL(request.url!).host)
    void response.writeHead(501).end()
  })
  proxy.on('connect', (request, client) => {
    hosts.add(request.url!)
    const tunnel = connect(Number(port), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      tunnel.pipe(client).pipe(tunnel)
    })
    for (const socket of [client, tunnel]) socket.on('error', () => {})
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    proxy.close()
    proxy.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, hosts }
}

async function openServices() {
  const { port, github, env } = await startServices()
  github.addRepository('acme/shop')
  const { url, hosts } = await openProxy(github.url)
  return { port, github, url, hosts, env: relayEnv({ ...env, GITHUB_API_URL: 'http://github.example' }) }
}

test('a relay connects to GitHub through http_proxy, and to localhost directly, even if NO_PROXY lists other hosts', async () => {
  const { port, github, url, hosts, env } = await openServices()
  const relay = await startRelay({ ...env, NO_PROXY: 'a.example', http_proxy: url })
  const run = port.createRun()
  await send(relay.url, { body: { run: { id: run.id }, inputs: {} } })
  await until(() => github.dispatches.length === 1 && run.logs.length > 0, 'GitHub and Port get requests')
  expect([...hosts]).toEqual(['github.example:80'])
})

test('treats a blank proxy variable as unset, and ignores line breaks around the value of HTTP_PROXY', async () => {
  const { github, url, hosts, env } = await openServices()
  const relay = await startRelay({ ...env, HTTP_PROXY: `${url}\n`, HTTPS_PROXY: ' ', http_proxy: '' })
  await send(relay.url, { body: { run: { id: 'r_1' }, inputs: {} } })
  await until(() => github.dispatches.length === 1, 'the delivery is dispatched')
  expect([...hosts]).toEqual(['github.example:80'])
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
