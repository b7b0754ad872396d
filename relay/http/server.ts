import { createServer, IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { LIMITS } from '../config/limits.ts'
import { networkOf } from './request.ts'

/** Time limits for headers and bodies. Idle connections stay open longer than load balancers' usual 60 s. */
const AGAINST_SLOW_SENDERS = {
  maxHeaderSize: LIMITS.requestLine.value,
  headersTimeout: LIMITS.headersTime.value,
  requestTimeout: LIMITS.requestTime.value,
  connectionsCheckingInterval: 2_000,
  keepAliveTimeout: 65_000,
}

type Refusal = [status: number, title: string, detail: string]

const NOT_HTTP: Refusal = [
  400,
  'Bad Request',
  'The request cannot be read: its first line, its headers, or its length is not valid HTTP/1.1.',
]

/** Node parser errors, by code. */
const FAILURES: Record<string, Refusal> = {
  HPE_HEADER_OVERFLOW: [
    431,
    'Request Header Fields Too Large',
    'The headers exceed 16 KB: send fewer or shorter headers.',
  ],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'Content Too Large', 'The chunk extensions exceed 16 KB.'],
  ERR_HTTP_REQUEST_TIMEOUT: [
    408,
    'Request Timeout',
    'The request did not arrive in time: the headers must arrive within 10 s, and the whole request within 30 s.',
  ],
}

/**
 * The HTTP server in front of the app. Sends problem details for malformed requests that never reach the app.
 *
 * @param fetch the app's `fetch`
 * @param onRefusal called with each refusal's status, reason, and connection address
 */
export function createRelayServer(
  fetch: (request: Request) => Response | Promise<Response>,
  onRefusal: (status: number, reason: string, address: string) => void = () => {},
): Server {
  const listener = getRequestListener(fetch, {
    // Used for HTTP/1.0 requests without a Host header. A bare IPv6 host isn't valid in a URL.
    hostname: 'localhost',
    errorHandler: () => {
      const { body, headers } = problem(NOT_HTTP)
      return new Response(body, { status: 400, headers })
    },
  })
  // Don't let Node refuse a request without a Host header, because Node's response has no problem details.
  const requests = oneAtATime(refusePipelined)
  const options = { ...AGAINST_SLOW_SENDERS, ...requests.options, requireHostHeader: false }
  const server = createServer(options, (request, response) => {
    if (request.httpVersion !== '1.0' && request.headers.host === undefined) {
      refuse(response, [400, 'Bad Request', 'The Host header is missing.'])
    } else listener(request, response)
  })
  server.timeout = LIMITS.stalledTime.value
  limitConnections(server, LIMITS.connections.value, requests.isBusy)
  server.on('checkExpectation', (_: IncomingMessage, response: ServerResponse) => {
    refuse(response, [417, 'Expectation Failed', 'The Expect header must be 100-continue.'])
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
      'A request arrived before the response to the previous request: requests must not be pipelined.'
    onRefusal(400, reason, socket.remoteAddress ?? '')
  }
}

function refuse(response: ServerResponse, failure: Refusal): void {
  const { body, headers } = problem(failure)
  response.writeHead(failure[0], headers).end(body)
}

function problem([status, title, detail]: Refusal) {
  const body = JSON.stringify({ type: 'about:blank', title, status, detail })
  const headers = {
    'content-type': 'application/problem+json',
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  }
  return { body, headers }
}

/**
 * Limits a server's open connections. Beyond the limit, closes a connection of the address with the most connections:
 * the oldest idle connection, or else the oldest one. A sender with many connections therefore loses only its own ones.
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

/**
 * Options that close a connection if a request arrives before the previous response was flushed. A packet can contain
 * thousands of requests, and Node would create objects for all of them before the first response. Only an upgrade can
 * stop Node's parser within a packet. Node then closes the connection, because there is no upgrade listener.
 *
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
        if (requestsOf(socket) <= LIMITS.requestsAtOnce.value) return
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
  return { options, isBusy: (socket: Socket) => requestsOf(socket) > 0 }
}
