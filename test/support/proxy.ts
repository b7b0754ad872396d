import { createServer } from 'node:http'
import { connect } from 'node:net'
import { listenHere } from './listen-here.ts'

/**
 * Starts a proxy that connects every tunnel to this server, whichever host was requested, and refuses other requests
 * with 501. `hosts` lists the host of each tunnel and request.
 */
export async function openProxy(target: string): Promise<{ url: string; hosts: string[] }> {
  const { port } = new URL(target)
  const hosts: string[] = []
  const proxy = createServer((request, response) => {
    hosts.push(new URL(request.url!).host)
    void response.writeHead(501).end()
  })
  proxy.on('connect', (request, client) => {
    hosts.push(request.url!)
    const tunnel = connect(Number(port), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      tunnel.pipe(client).pipe(tunnel)
    })
    for (const socket of [client, tunnel]) socket.on('error', () => {})
  })
  return { url: `http://127.0.0.1:${await listenHere(proxy)}`, hosts }
}
