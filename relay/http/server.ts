import { createServer, IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { LIMITS } from '../config/limits.ts'
import { type Receive, serveDirectly } from './direct.ts'
import { isVerified, networkOf } from './request.ts'

/** Limits the time of headers, bodies, and idle connections. A load balancer usually closes an idle connection after 60 s. Makes Node join repeated headers, as Hono does. */
const OPTIONS = {
  maxHeaderSize: LIMITS.requestLine,
  headersTimeout: LIMITS.headersTime,
  requestTimeout: LIMITS.requestTime,
  connectionsCheckingInterval: 2_000,
  keepAliveTimeout: LIMITS.keepAliveTime,
  joinDuplicateHeaders: true,
}

const UNREADABLE: Record<string, string> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Content Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** Creates the HTTP server. @param onRefusal called for each request that Node refuses before the app gets it */
export function createRelayServer(
  fetch: (request: Request) => Response | Promise<Response>,
  onRefusal: (status: number, reason: string, address: string) => void = () => {},
  receive?: Receive,
): Server {
  // An HTTP/1.0 request without a Host header gets this host name.
  const others = getRequestListener(fetch, { hostname: 'localhost' })
  const listener = receive ? serveDirectly(receive, others) : others
  const pipelined = 'A request arrived before the response to the previous request (pipelining).'
  const requests = oneAtATime(({ remoteAddress = '' }) => onRefusal(400, pipelined, remoteAddress))
  const server = createServer({ ...OPTIONS, ...requests.options }, listener)
  server.timeout = LIMITS.stalledTime
  limitConnections(server, LIMITS.connections, requests.isBusy)
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code !== 'ECONNRESET' && socket.writable) {
      const status = UNREADABLE[error.code ?? ''] ?? '400 Bad Request'
      onRefusal(Number.parseInt(status, 10), error.message, socket.remoteAddress ?? '')
      socket.write(`HTTP/1.1 ${status}\r\nconnection: close\r\n\r\n`)
    }
    socket.destroySoon()
  })
  return server
}

/**
 * Limits a server's open connections. Above the limit, closes a connection of the address that has the most: the
 * oldest idle connection or, if none is idle, the oldest connection.
 */
export function limitConnections(server: Server, limit: number, isBusy: (socket: Socket) => boolean): void {
  const byAddress = new Map<string, Set<Socket>>()
  let count = 0

  server.on('connection', socket => {
    const address = networkOf(socket.remoteAddress ?? '')
    const own = byAddress.get(address) ?? new Set()
    byAddress.set(address, own.add(socket))
    count++
    socket.once('close', () => {
      count--
      own.delete(socket)
      if (own.size === 0) byAddress.delete(address)
    })
    if (count > limit) chooseOne()?.destroy()
  })

  function chooseOne(): Socket | undefined {
    let most: Set<Socket> = new Set()
    for (const own of byAddress.values()) if (own.size > most.size) most = own
    const open = [...most].filter(socket => !socket.destroyed)
    return open.find(socket => !isBusy(socket)) ?? open[0]
  }
}

/** The number of consecutive unverified requests on a connection. */
const unverified = new WeakMap<Socket, number>()

/**
 * Whether the connection closes after this response. Node accepts one new connection in each turn of the event loop,
 * and serves all busy connections first. Because its connections are closed, a sender of unverified requests must
 * queue for `accept` again and again, like all other senders.
 */
function isUnverified(request: IncomingMessage): boolean {
  const { socket } = request
  if (isVerified(request)) return unverified.delete(socket) && false
  const inARow = (unverified.get(socket) ?? 0) + 1
  unverified.set(socket, inARow)
  return inARow >= LIMITS.unverifiedInARow
}

/** Reads and discards the rest of a body after the response, because the kernel could otherwise reset the connection before a proxy has read the response. */
function linger(socket: Socket): void {
  socket.destroySoon = () => {
    socket.end()
    const patience = setTimeout(() => socket.destroy(), LIMITS.lingerTime)
    socket.once('close', () => clearTimeout(patience)).once('end', () => socket.destroy())
  }
}

/**
 * Returns options that close a connection if another request arrives before the response to the previous one was sent.
 * One packet can contain thousands of requests, and Node would create objects for all of them before the first
 * response. Within a packet, nothing but an upgrade stops Node's parser, so the options turn the early request into
 * an upgrade. Node then closes the connection, because the server has no listener for upgrades.
 * @param onPipelined called with each connection before it's closed
 */
export function oneAtATime(onPipelined: (socket: Socket) => void) {
  const underWay = new WeakMap<Socket, number>()
  const requestsOf = (socket: Socket) => underWay.get(socket) ?? 0
  const count = (socket: Socket, change: number) => underWay.set(socket, requestsOf(socket) + change)
  const options = {
    IncomingMessage: class extends IncomingMessage {
      constructor(socket: Socket) {
        super(socket)
        count(socket, 1)
        if (requestsOf(socket) <= LIMITS.requestsAtOnce) return
        Object.defineProperty(this, 'upgrade', { get: () => true, set() {} })
        onPipelined(socket)
      }
    },
    ServerResponse: class<Request extends IncomingMessage> extends ServerResponse<Request> {
      constructor(request: Request) {
        super(request)
        this.once('close', () => count(request.socket, -1))
      }

      override writeHead(status: number, ...given: unknown[]): this {
        if (isUnverified(this.req)) {
          this.setHeader('connection', 'close')
          if (!this.req.complete) linger(this.req.socket)
        }
        return super.writeHead(status, ...(given as []))
      }
    },
  }
  return { options, isBusy: (socket: Socket) => requestsOf(socket) > 0 }
}
