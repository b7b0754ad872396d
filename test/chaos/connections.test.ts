import { once } from 'node:events'
import { Agent, createServer, get } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { noteVerified } from '../../relay/http/request.ts'
import { limitConnections, oneAtATime } from '../../relay/http/server.ts'

test('a sender that exceeds the connection limit loses only its own connections', async () => {
  const MOST = 20
  const waiting: (() => void)[] = []
  const requests = oneAtATime(() => {})
  const server = createServer(requests.options, (request, response) => {
    // Each honest request is verified, so its connection stays open.
    noteVerified({ set() {}, env: { incoming: request } } as never)
    if (request.url === '/slow') waiting.push(() => response.end('slow'))
    else response.end('quick')
  })
  limitConnections(server, MOST, requests.isBusy)
  server.listen(0, '0.0.0.0')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => {
    agent.destroy()
    server.closeAllConnections()
    server.close()
  })
  const ask = (path: string, options = {}) =>
    new Promise<string>((resolve, reject) => {
      get({ port, host: '127.0.0.1', path, ...options }, async response => {
        resolve(String(await response.reduce((text, chunk) => text + chunk, '')))
      }).on('error', reject)
    })
  const kept = new Set<number | undefined>()
  const honest = () =>
    new Promise<void>((resolve, reject) => {
      const request = get({ port, host: '127.0.0.1', path: '/', agent }, response => {
        kept.add(request.socket?.localPort)
        response.resume().on('end', resolve)
      }).on('error', reject)
    })
  await honest()
  // Two requests that are pending: one from another sender, and one from the attacker's own address.
  const slow = [ask('/slow', { agent: false }), ask('/slow', { agent: false, localAddress: '127.0.0.2' })]
  await expect.poll(() => waiting.length).toBe(2)
  let open = 0
  let cut = 0
  for (let n = 0; n < 5 * MOST; n++) {
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' }).on('error', () => {})
    onTestFinished(() => void socket.destroy())
    await once(socket, 'connect')
    open++
    socket.resume().once('close', () => cut++)
    if (n % MOST === 0) await honest()
  }
  await expect.poll(() => open - cut).toBeLessThanOrEqual(MOST - 3)
  await honest()
  expect(kept.size).toBe(1)
  for (const end of waiting) end()
  expect(await Promise.all(slow)).toEqual(['slow', 'slow'])
})
