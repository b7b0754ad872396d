import { expect, onTestFinished, test, vi } from 'vitest'
import { createFetch } from '../../action/runner/runner.ts'
import { createPortClient } from '../../port/client/client.ts'
import { openProxy } from '../support/proxy.ts'
import { startSystem } from './play.ts'

test('requests are sent through the proxy, except requests to the hosts in no_proxy', async () => {
  const { port } = await startSystem()
  const { url, hosts } = await openProxy(port.url)
  onTestFinished(() => void vi.unstubAllEnvs())
  vi.stubEnv('http_proxy', url)

  const { clientId, clientSecret } = port
  const client = (apiUrl: string) =>
    createPortClient({ apiUrl, clientId, clientSecret, fetch: createFetch() })
  await client('http://port.example').authorize()
  expect(hosts).toEqual(['port.example:80'])
  expect(port.requests).toHaveLength(1)

  vi.stubEnv('no_proxy', 'port.invalid')
  await expect(client('http://port.invalid').authorize()).rejects.toMatchObject({ kind: 'unreachable' })
  expect(hosts).toHaveLength(1)
})
