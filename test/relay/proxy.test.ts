import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { relayEnv, runRelay, startRelay } from '../support/relay.ts'
import { send } from '../support/send.ts'

/** Starts a proxy that forwards every tunnel and request, whatever the host, to the fake GitHub. */
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

test.each(['HTTP_PROXY', 'http_proxy'])('the relay reaches GitHub through the proxy in %s', async name => {
  const github = await startGitHubApi()
  onTestFinished(() => github.close())
  github.addRepository('acme/shop')
  const { url, hosts } = await openProxy(github.url)
  const env = { GITHUB_API_URL: 'http://github.example', GITHUB_TOKEN: github.token, [name]: url }
  const relay = await startRelay(relayEnv(env))
  await send(relay.url, { body: { run: { id: 'r_1' }, inputs: {} } })
  await until(() => github.dispatches.length === 1, 'it is dispatched')
  expect([...hosts]).toEqual(['github.example:80'])
})

test.each([
  'proxy.example.com:3128',
  'http://user:hunter2@[bad',
  'https://user:hunter2%zz@proxy.example.com',
])('with the proxy %s, the relay refuses to start and prints the reason without the value', async url => {
  const problem =
    'HTTPS_PROXY must be an http(s) URL, such as http://proxy.example.com:3128; in a user or password, write % as %25'
  expect(await runRelay(relayEnv({ HTTPS_PROXY: url }))).toEqual({
    code: 1,
    stdout: '',
    stderr: `The configuration has a problem:\n  - ${problem}\n`,
  })
  expect(await runRelay({ HTTPS_PROXY: url }, ['--version'])).toMatchObject({ code: 0, stderr: '' })
  const RELAY_ADMIN_TOKEN = 'an-admin-token-of-some-length'
  for (const command of [['deliveries'], ['send', '--action', 'x']]) {
    const env = { HTTPS_PROXY: url, RELAY_ADMIN_TOKEN, PORT_CLIENT_SECRET: 'secret' }
    expect(await runRelay(env, command)).toEqual({ code: 1, stdout: '', stderr: `${problem}.\n` })
  }
})

test('treats a blank proxy variable as unset, and ignores line breaks around its value', async () => {
  const github = await startGitHubApi()
  onTestFinished(() => github.close())
  github.addRepository('acme/shop')
  const { url, hosts } = await openProxy(github.url)
  const relay = await startRelay(
    relayEnv({
      ...{ GITHUB_API_URL: 'http://github.example', GITHUB_TOKEN: github.token },
      ...{ HTTP_PROXY: `${url}\n`, HTTPS_PROXY: ' ', http_proxy: '' },
    }),
  )
  await send(relay.url, { body: { run: { id: 'r_1' }, inputs: {} } })
  await until(() => github.dispatches.length === 1, 'it is dispatched')
  expect([...hosts]).toEqual(['github.example:80'])
})

test('the relay bypasses the proxy for hosts in NO_PROXY and for localhost', async () => {
  const github = await startGitHubApi()
  onTestFinished(() => github.close())
  github.addRepository('acme/shop')
  const { url, hosts } = await openProxy(github.url)
  const env = {
    GITHUB_API_URL: github.url,
    GITHUB_TOKEN: github.token,
    HTTP_PROXY: url,
    NO_PROXY: 'a.example',
  }
  const relay = await startRelay(relayEnv(env))
  await send(relay.url, { body: { run: { id: 'r_1' }, inputs: {} } })
  await until(() => github.dispatches.length === 1, 'it is dispatched')
  expect([...hosts]).toEqual([])
})
