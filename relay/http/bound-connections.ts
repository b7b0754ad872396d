import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { networkOf } from './sender-address.ts'

/**
 * Bounds the open connections of a server. Beyond the bound, one is closed of the address that has the most: the oldest
 * without a request under way, else the oldest. A sender that opens many connections loses its own.
 */
export function boundConnections(server: Server, most: number): void {
  const byAddress = new Map<string, Set<Socket>>()
  const busy = new WeakSet<Socket>()
  let amount = 0

  server.on('connection', socket => {
    const address = networkOf(socket.remoteAddress ?? '')
    const own = byAddress.get(address) ?? new Set()
    byAddress.set(address, own.add(socket))
    amount++
    socket.once('close', () => {
      amount--
      own.delete(socket)
      if (own.size === 0) byAddress.delete(address)
    })
    if (amount > most) chooseOne()?.destroy()
  })
  server.on('request', ({ socket }, response) => {
    busy.add(socket)
    response.once('close', () => busy.delete(socket))
  })

  function chooseOne(): Socket | undefined {
    let most: Set<Socket> = new Set()
    for (const own of byAddress.values()) if (own.size > most.size) most = own
    const open = [...most].filter(socket => !socket.destroyed)
    return open.find(socket => !busy.has(socket)) ?? open[0]
  }
}
