import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createFetch } from '../../action/runner/runner.ts'
import { createPortClient } from '../../port/client/client.ts'
import type { PortApi } from '../../tools/simulator/port/port.ts'
import { startSystem } from './play.ts'

/** Starts a proxy that connects every tunnel to the fake Port. */
async function openProxy(port: PortApi): Promise<{ url: string; tunnels: string[] }> {
  const tunnels: string[] = []
  const proxy = createServer()
  proxy.on('connect', (request, client) => {
    tunnels.push(request.url!)
    const target = connect(Number(new URL(port.url).port), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      target.pipe(client).pipe(target)
    })
    for (const socket of [client, target]) socket.on('error', () => {})
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    proxy.close()
    proxy.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, tunnels }
}

test('requests are sent through the proxy, except requests to the hosts in no_proxy', async () => {
  const { port } = await startSystem()
  const { url, tunnels } = await openProxy(port)
  onTestFinished(() => void vi.unstubAllEnvs())
  vi.stubEnv('http_proxy', url)

  const { clientId, clientSecret } = port
  const client = (apiUrl: string) =>
    createPortClient({ apiUrl, clientId, clientSecret, fetch: createFetch() })
  await client('http://port.example').authorize()
  expect(tunnels).toEqual(['port.example:80'])
  expect(port.requests).toHaveLength(1)

  vi.stubEnv('no_proxy', 'port.invalid')
  await expect(client('http://port.invalid').authorize()).rejects.toMatchObject({ kind: 'unreachable' })
  expect(tunnels).toHaveLength(1)
})
