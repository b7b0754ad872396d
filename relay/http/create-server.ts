import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { BOUNDS } from '../config/bounds.ts'
import { boundConnections } from './bound-connections.ts'
import { oneAtATime } from './one-at-a-time.ts'

/** Headers and bodies must arrive in time; an idle connection outlives the 60 s that load balancers keep theirs. */
const AGAINST_SLOW_SENDERS = {
  maxHeaderSize: BOUNDS.requestLine.value,
  headersTimeout: BOUNDS.headersTime.value,
  requestTimeout: BOUNDS.requestTime.value,
  connectionsCheckingInterval: 2_000,
  keepAliveTimeout: 65_000,
}

type Trouble = [status: number, title: string, detail: string]

const NOT_HTTP: Trouble = [
  400,
  'Bad Request',
  'The request cannot be read: its first line, its headers or its length are not as HTTP/1.1 has them.',
]

/** Errors of Node's parser, by code. */
const TROUBLES: Record<string, Trouble> = {
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
  server.timeout = BOUNDS.stalledTime.value
  boundConnections(server, BOUNDS.connections.value)
  server.on('checkExpectation', (_: IncomingMessage, response: ServerResponse) => {
    refuse(response, [417, 'Expectation Failed', 'The Expect header may be 100-continue and nothing else.'])
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code !== 'ECONNRESET' && socket.writable) {
      const trouble = TROUBLES[error.code ?? ''] ?? NOT_HTTP
      onRefusal(trouble[0], trouble[2], socket.remoteAddress ?? '')
      const { body, headers } = problem(trouble)
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
      socket.write(`HTTP/1.1 ${trouble[0]} ${trouble[1]}\r\n${lines.join('')}\r\n${body}`)
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

function refuse(response: ServerResponse, trouble: Trouble): void {
  const { body, headers } = problem(trouble)
  response.writeHead(trouble[0], headers).end(body)
}

function problem([status, title, detail]: Trouble) {
  const body = JSON.stringify({ type: 'about:blank', title, status, detail })
  const headers = {
    'content-type': 'application/problem+json',
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  }
  return { body, headers }
}
