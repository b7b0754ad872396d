import { createServer, IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { LIMITS } from '../config/limits.ts'
import { networkOf } from './request.ts'

/** Headers and bodies must arrive in time; an idle connection outlives the 60 s that load balancers keep theirs. */
const AGAINST_SLOW_SENDERS = {
  maxHeaderSize: LIMITS.requestLine.value,
  headersTimeout: LIMITS.headersTime.value,
  requestTimeout: LIMITS.requestTime.value,
  connectionsCheckingInterval: 2_000,
  keepAliveTimeout: 65_000,
}

type ThrottledLog = [status: number, title: string, detail: string]

const NOT_HTTP: ThrottledLog = [
  400,
  'Bad Request',
  'The request cannot be read: its first line, its headers or its length are not as HTTP/1.1 has them.',
]

/** Errors of Node's parser, by code. */
const FAILURES: Record<string, ThrottledLog> = {
  HPE_HEADER_OVERFLOW: [
    431,
    'Request Header Fields Too Large',
    'The headers have more than 16 KB: send fewer of them.',
  ],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'Content Too Large', 'The chunk extensions have more than 16 KB.'],
  ERR_HTTP_REQUEST_TIMEOUT: [
    408,
    'Request Timeout',
    'The request did not arrive in time: headers have 10 seconds, all of it has 30.',
  ],
}

/**
 * The HTTP server before the app: what never becomes a request of the app is refused with problem details, too.
 *
 * @param fetch the app's
 * @param onRefusal called with each refusal: its status, why, and the address of the connection
 */
export function createRelayServer(
  fetch: (request: Request) => Response | Promise<Response>,
  onRefusal: (status: number, reason: string, address: string) => void = () => {},
): Server {
  const listener = getRequestListener(fetch, {
    // For a request in HTTP/1.0, which may have no Host. Not the relay's own: an IPv6 address is no host of a URL as it is.
    hostname: 'localhost',
    errorHandler: () => {
      const { body, headers } = problem(NOT_HTTP)
      return new Response(body, { status: 400, headers })
    },
  })
  // Node would refuse a request without a host itself, without problem details.
  const options = { ...AGAINST_SLOW_SENDERS, ...oneAtATime(refusePipelined), requireHostHeader: false }
  const server = createServer(options, (request, response) => {
    if (request.httpVersion !== '1.0' && request.headers.host === undefined) {
      refuse(response, [400, 'Bad Request', 'The Host header is missing.'])
    } else listener(request, response)
  })
  server.timeout = LIMITS.stalledTime.value
  limitConnections(server, LIMITS.connections.value)
  server.on('checkExpectation', (_: IncomingMessage, response: ServerResponse) => {
    refuse(response, [417, 'Expectation Failed', 'The Expect header may be 100-continue and nothing else.'])
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code !== 'ECONNRESET' && socket.writable) {
      const failure = FAILURES[error.code ?? ''] ?? NOT_HTTP
      onRefusal(failure[0], failure[2], socket.remoteAddress ?? '')
      const { body, headers } = problem(failure)
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
      socket.write(`HTTP/1.1 ${failure[0]} ${failure[1]}\r\n${lines.join('')}\r\n${body}`)
    }
    socket.destroySoon()
  })
  return server

  function refusePipelined(socket: Socket): void {
    const reason =
      'The next request came before the response to the last one: requests must not be pipelined.'
    onRefusal(400, reason, socket.remoteAddress ?? '')
  }
}

function refuse(response: ServerResponse, failure: ThrottledLog): void {
  const { body, headers } = problem(failure)
  response.writeHead(failure[0], headers).end(body)
}

function problem([status, title, detail]: ThrottledLog) {
  const body = JSON.stringify({ type: 'about:blank', title, status, detail })
  const headers = {
    'content-type': 'application/problem+json',
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  }
  return { body, headers }
}

/**
 * Bounds the open connections of a server. Beyond the bound, one is closed of the address that has the most: the oldest
 * without a request under way, else the oldest. A sender that opens many connections loses its own.
 */
export function limitConnections(server: Server, most: number): void {
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

/**
 * Options of a server that closes a connection on which a request arrives before the response to the last one was
 * flushed. A packet holds thousands of requests, and Node would make objects for all of them before the first is
 * answered. Only an upgrade ends its parser in the middle of a packet; Node closes the connection if nobody listens to
 * upgrades.
 *
 * @param onPipelined called with each connection before it is closed
 */
function oneAtATime(onPipelined: (socket: Socket) => void) {
  const underWay = new WeakMap<Socket, number>()
  const count = (socket: Socket, change: number) => underWay.set(socket, (underWay.get(socket) ?? 0) + change)
  return {
    IncomingMessage: class extends IncomingMessage {
      constructor(socket: Socket) {
        super(socket)
        count(socket, 1)
        if ((underWay.get(socket) ?? 0) <= LIMITS.requestsAtOnce.value) return
        Object.defineProperty(this, 'upgrade', { get: () => true, set() {} })
        onPipelined(socket)
      }
    },
    ServerResponse: class<Request extends IncomingMessage> extends ServerResponse<Request> {
      constructor(request: Request) {
        super(request)
        this.once('close', () => count(request.socket, -1))
      }
    },
  }
}
