import { once } from 'node:events'
import { expect, onTestFinished, test } from 'vitest'
import { createFetch } from '../../action/runner/fetch.ts'

test('one fetch serves http after https: a wrong scheme and an answer cut short are each an error of their own', async () => {
  const { createServer } = await import('node:http')
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-length': '100', 'x-list': ['a', 'b'] })
    response.write('part', () => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as { port: number }
  const fetch = createFetch()
  const ask = (scheme: string) => fetch(`${scheme}://127.0.0.1:${port}/`, { method: 'GET', headers: {} })
  await expect(ask('https')).rejects.toMatchObject({ code: expect.stringMatching(/SSL|EPROTO/) })
  await expect(ask('http')).rejects.toMatchObject({ code: 'ECONNRESET' })
})
