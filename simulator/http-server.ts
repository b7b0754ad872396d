import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAdaptorServer, type HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { type Context, Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { isLoopback } from '../port/text.ts'
import { keepPort } from './keep-port.ts'

/** A received request. */
export type ReceivedRequest = {
  /** Epoch milliseconds. */
  at: number
  method: string
  /** Path with its query. */
  path: string
  /** Names in lower case. */
  headers: Record<string, string>
  /** Parsed JSON; the text if the body isn't JSON; undefined without a body. */
  body: unknown
  /** The response status; undefined until the response is sent, or if the connection was cut. */
  status?: number
}

/** A fault to inject for matching requests. */
export type Fault = {
  /** Selects requests; default: all. Called once for each request, unless an earlier failure matches. */
  match?: (request: ReceivedRequest) => boolean
  /** How many matching requests fail; default: 1. Infinity: until cleared. */
  times?: number
  /** The status to send instead of the real response. */
  status?: number
  headers?: Record<string, string>
  /** The body of that response; default: the service's own error body. */
  body?: unknown
  /** When to cut the connection: before or after the request takes effect, or within the response's body. */
  cut?: 'before' | 'after' | 'within'
  /** Delays the response by this time. */
  delayMs?: number
  /** Whether the request takes effect before it fails, as with a late response, or a 500 after a run was created. */
  takesEffect?: boolean
}

export type FakeServerEnv = {
  Bindings: HttpBindings
  Variables: { request: ReceivedRequest; bytes: number; malformed: boolean }
}

/** The methods of every fake server. */
export type FakeServer = Awaited<ReturnType<typeof startFakeServer>>

/** Sends the response's headers and the first half of its body. */
async function sendHalf(c: Context<FakeServerEnv>): Promise<void> {
  const body = Buffer.from(await c.res.arrayBuffer())
  const headers = { ...Object.fromEntries(c.res.headers), 'content-length': body.length }
  c.env.outgoing.writeHead(c.res.status, headers)
  await new Promise<void>(resolve => {
    c.env.outgoing.write(body.subarray(0, body.length / 2), () => resolve())
  })
}

/** Serves `service` on a free port of 127.0.0.1. `responseFor` returns the body and headers for an injected status. */
export async function startFakeServer<E extends FakeServerEnv>(
  service: Hono<E>,
  responseFor: (status: number) => { body: unknown; headers?: Record<string, string> },
) {
  const requests: ReceivedRequest[] = []
  const failures = new Set<{ failure: Fault; left: number }>()
  const ended = new AbortController()

  const take = (request: ReceivedRequest): Fault | undefined => {
    for (const entry of failures) {
      if (entry.failure.match && !entry.failure.match(request)) continue
      entry.left -= 1
      if (entry.left <= 0) failures.delete(entry)
      return entry.failure
    }
    return undefined
  }

  const app = new Hono<FakeServerEnv>()
  app.use('*', async (c, next) => {
    if (isFromForeignPage(c)) return c.text('Open this page by its address 127.0.0.1.', 403)
    const request = await receive(c)
    requests.push(request)
    const failure = take(request)
    const effectFirst = failure?.takesEffect === true || ['after', 'within'].includes(failure?.cut ?? '')
    if (!failure || effectFirst) await next()
    if (failure?.delayMs)
      await sleep(failure.delayMs, undefined, { ref: false, signal: ended.signal }).catch(() => {})
    if (failure?.cut) {
      const { socket } = c.env.incoming
      if (failure.cut === 'within') await sendHalf(c)
      socket.destroy()
      replace(c, RESPONSE_ALREADY_SENT)
      return
    }
    if (failure?.status) replace(c, failureResponse(failure, failure.status, responseFor))
    else if (failure && !effectFirst) await next()
    request.status = c.res.status
  })
  app.route('/', service)
  app.onError((error, c) => {
    if (error instanceof HTTPException) return error.getResponse()
    // The client has disconnected, or stop() cut the connection.
    if (c.env.incoming.socket.destroyed) return RESPONSE_ALREADY_SENT
    console.error(error)
    return c.json({ message: `The fake server failed: ${error.message}` }, 500)
  })

  const server = createAdaptorServer({ fetch: app.fetch })
  const port = await keepPort()
  const start = async () => {
    if (!server.listening) await once(server.listen(port, '127.0.0.1'), 'listening')
  }
  await start()
  const stop = async () => {
    if (!server.listening) return
    const closed = new Promise(resolve => server.close(resolve))
    if ('closeAllConnections' in server) server.closeAllConnections()
    await closed
  }
  return {
    /** `http://127.0.0.1:PORT` */
    origin: `http://127.0.0.1:${port}`,
    /** Every request received, in order. */
    requests,
    clearRequests: () => {
      requests.length = 0
    },
    /** Injects failures; returns the function that stops them. */
    fail: (failure: Fault) => {
      const entry = { failure, left: failure.times ?? 1 }
      failures.add(entry)
      return () => void failures.delete(entry)
    },
    clearFailures: () => failures.clear(),
    /** Refuses new connections and cuts open ones; keeps the state. */
    stop,
    /** Listens again on the same port. */
    start,
    /** Stops the server and cancels all scheduled work. */
    close: async () => {
      ended.abort()
      await stop()
    },
  }
}

/**
 * Whether the request comes from a page of another machine, even if that page uses its own name for this machine. If the
 * origin is `null`, as for a page without a referrer, `sec-fetch-site` decides.
 */
function isFromForeignPage(c: Context): boolean {
  const { host = '', origin = 'null', 'sec-fetch-site': site } = c.req.header()
  const isForeign = (url: string) => {
    const { hostname = '' } = URL.parse(url) ?? {}
    // Names under .example are allowed, because they can't be registered, and tests use them to reach a fake through a proxy.
    return !isLoopback(hostname) && !hostname.endsWith('.example')
  }
  if (isForeign(`http://${host}`)) return true
  if (c.req.method === 'GET') return false
  return origin === 'null' ? site === 'cross-site' : isForeign(origin)
}

async function receive(c: Context<FakeServerEnv>): Promise<ReceivedRequest> {
  const { pathname, search } = new URL(c.req.url)
  const bytes = c.req.method === 'GET' ? new ArrayBuffer(0) : await c.req.arrayBuffer()
  const text = new TextDecoder().decode(bytes)
  let body: unknown
  let malformed = false
  try {
    body = text === '' ? undefined : JSON.parse(text)
  } catch {
    body = text
    malformed = true
  }
  const request: ReceivedRequest = {
    at: Date.now(),
    method: c.req.method,
    path: pathname + search,
    headers: c.req.header(),
    body,
  }
  c.set('request', request)
  c.set('bytes', bytes.byteLength)
  c.set('malformed', malformed)
  return request
}

function failureResponse(
  failure: Fault,
  status: number,
  responseFor: (status: number) => { body: unknown; headers?: Record<string, string> },
): Response {
  const own = responseFor(status)
  const body = failure.body ?? own.body
  return new Response(typeof body === 'string' ? body : JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...own.headers, ...failure.headers },
  })
}

/** Replaces the response. Removes the old response first, because Hono would otherwise merge the headers. */
function replace(c: Context<FakeServerEnv>, response: Response): void {
  c.res = undefined
  c.res = response
}

/**
 * Waits until `check` returns a truthy value. Throws an error with `what` after the timeout. Waits 10 ms between the
 * first checks, and then a tenth of the elapsed time, because many tests wait at the same time.
 */
export async function until<T>(check: () => T | Promise<T>, what: string, timeoutMs = 60_000): Promise<T> {
  const began = performance.now()
  for (;;) {
    const value = await check()
    if (value) return value
    const waited = performance.now() - began
    if (waited > timeoutMs) throw new Error(`Waited ${timeoutMs} ms for: ${what}`)
    await sleep(Math.min(Math.max(10, waited / 10), 250))
  }
}
