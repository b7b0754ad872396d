import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'

/**
 * Returns a port on 127.0.0.1 where servers of this process, or of other processes, can listen in turn. While no server
 * listens, the port refuses connections. A connection to the port stays open until this process exits, so that the
 * system doesn't choose this port for another socket on 127.0.0.1.
 */
export async function keepPort(): Promise<number> {
  const server = createServer(socket => socket.unref()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const accepted = once(server, 'connection')
  // While nock is active, a socket connects only when data is written.
  connect(port, '127.0.0.1').unref().write('.')
  await accepted
  server.close()
  return port
}
