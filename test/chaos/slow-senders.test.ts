import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { Hono } from 'hono'
import { describe, expect, onTestFinished, test } from 'vitest'
import { bodyOf, readBody } from '../../relay/http/body.ts'
import { createBodyMemory } from '../../relay/http/body-memory.ts'
import { type Problem, sendProblem } from '../../relay/http/problem.ts'
import { createRelayServer } from '../../relay/http/server.ts'
import { startSystem } from '../reports/open-stage.ts'
import { relayEnv, startRelay } from '../support/relay.ts'
import { send } from '../support/requests.ts'

const slow = [
  // By default, Node would wait for 60 s and 300 s.
  ['headers that never end', null, 'x-slow: 1\r\n', /^HTTP\/1\.1 408 /, 50_000],
  [
    'a body that never ends',
    'content-length: 100000',
    '{',
    /408 [\s\S]*connection: close[\s\S]*at least 8192 bytes per second/i,
    200_000,
  ],
] as const
test.each(slow)(
  'the relay disconnects slow senders, and serves other senders in the meantime: %s',
  async (_, length, drip, refusal, withinMs) => {
    const head = length === null ? 'POST /webhook HTTP/1.1\r\nhost: x\r\n' : webhookHead(length)
    const relay = await startRelay(relayEnv())
    const began = performance.now()
    const sockets = await openSockets(relay.url, 100)
    const closed = sockets.map(socket => new Promise(resolve => socket.once('close', resolve)))
    const response = responseOf(sockets[0]!)
    for (const socket of sockets) socket.write(head)
    const dripping = setInterval(() => {
      for (const socket of sockets) if (!socket.destroyed) socket.write(drip)
    }, 500)
    onTestFinished(() => clearInterval(dripping))
    for (let n = 0; n < 20; n++) {
      expect((await send(relay.url, { body: { n } })).status).toBe(202)
      if (n === 0) expect(sockets.filter(socket => socket.destroyed)).toEqual([])
    }
    await Promise.all(closed)
    expect(await response).toMatch(refusal)
    expect(performance.now() - began).toBeLessThan(withinMs)
    expect((await send(relay.url, { body: { after: 1 } })).status).toBe(202)
  },
)

describe('memory for bodies', () => {
  const open = (trustedProxies = 0) => {
    const reserve = createBodyMemory({ arrivingBytes: 100, processingBytes: 150, trustedProxies })
    const app = new Hono()
    app.onError((error, c) => sendProblem(c, error as Problem))
    app.post('/', async c => {
      const room = reserve(c)
      const body = await readBody(c, bodyOf(c), 1_000, room)
      room.accept(body.length, JSON.parse(c.req.header('shares') ?? '{}'))
      const held = c.req.header('hold')
      if (held) await holding.get(held)?.promise
      room.release()
      return c.text(String(body.length))
    })
    const holding = new Map<string, PromiseWithResolvers<void>>()
    return {
      holding,
      fetch: app.fetch,
      /** Sends a body that starts with this many bytes. `end` ends the body. */
      send(bytes: number, headers: Record<string, string> = {}) {
        const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
        const init = { method: 'POST', body: readable, headers, duplex: 'half' }
        const response = (async () => app.request('/', init as RequestInit))()
        const writer = writable.getWriter()
        // The relay doesn't read a dropped body any further.
        writer.write(new Uint8Array(bytes)).catch(() => {})
        return { answer: response, end: () => void writer.close().catch(() => {}) }
      },
    }
  }
  /** Waits until the written data is read and time has passed. */
  const arrived = async (ms = 20) => {
    for (let n = 0; n < 50; n++) await setImmediate()
    await sleep(ms)
  }

  /** Columns: the trusted proxies, `sender=bytes` of each body in the order of their arrival, and the dropped body. */
  test.each<[string, proxies: number, bodies: string, dropped: number]>([
    ['the body that has been arriving longest', 0, 'a=40 a=40 a=50', 0],
    ['the sender of the most bytes', 1, '10.0.0.2=1 10.0.0.1=40 10.0.0.1=40 10.9.9.9=30', 1],
    ['a sender with several ports', 1, '10.0.0.2:1=1 10.0.0.1:1=40 10.0.0.1:2=40 10.9.9.9=30', 1],
    ['another /64 network of IPv6', 1, '2001:db8:0:2::1=1 2001:db8::1=40 2001:db8::2=40 10.9.9.9=30', 1],
    ['one /64 network of IPv6', 1, '2001:db8::1=10 2001:db8:0:0:ffff::2=80 2001:db8::1=20', 0],
    ['one sender if no proxy is trusted', 0, '10.0.0.1=10 10.0.0.2=80 10.0.0.2=20', 0],
  ])('is reclaimed from %s; the sender gets 503 with Retry-After', async (_, proxies, bodies, dropped) => {
    const memory = open(proxies)
    const sent: ReturnType<typeof memory.send>[] = []
    for (const [sender, bytes] of bodies.split(' ').map(each => each.split('='))) {
      sent.push(memory.send(Number(bytes), { 'x-forwarded-for': `1.1.1.1, ${sender}` }))
      await arrived(40)
    }
    const { status, headers } = await sent[dropped]!.answer
    expect([status, headers.get('retry-after'), headers.get('connection')]).toEqual([503, '1', 'close'])
    for (const { end } of sent) end()
    const others = await Promise.all(sent.filter((_, n) => n !== dropped).map(each => each.answer))
    expect(others.map(response => response.status)).toEqual(others.map(() => 200))
  })

  test('is never reclaimed from a verified sender, but has a limit for verified senders, too', async () => {
    const memory = open()
    memory.holding.set('a', Promise.withResolvers())
    const first = memory.send(100, { hold: 'a' })
    first.end()
    await arrived()
    const second = memory.send(100)
    second.end()
    expect((await second.answer).status).toBe(503)
    memory.holding.get('a')?.resolve()
    expect((await first.answer).status).toBe(200)
    const third = memory.send(100)
    third.end()
    expect((await third.answer).status).toBe(200)
  })

  test('is used only during processing if a body arrives together with its head', async () => {
    const memory = open()
    const server = createRelayServer(memory.fetch).listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    memory.holding.set('a', Promise.withResolvers())
    const arriving = memory.send(100)
    await arrived()
    const { port } = server.address() as AddressInfo
    const [first, second] = await openSockets(`http://127.0.0.1:${port}`, 2)
    const post = (bytes: number) =>
      `POST / HTTP/1.1\r\nhost: x\r\nhold: a\r\ncontent-length: ${bytes}\r\n\r\n`
    first!.write(post(50) + 'x'.repeat(50))
    await arrived()
    second!.write(post(101) + 'x'.repeat(101))
    expect(await responseOf(second!)).toMatch(/^HTTP\/1\.1 503 /)
    arriving.end()
    expect((await arriving.answer).status).toBe(200)
  })

  test('is also limited for all verified bodies of one share together', async () => {
    const memory = open()
    memory.holding.set('a', Promise.withResolvers())
    const sendOf = (bytes: number, shares: object, headers: Record<string, string> = {}) => {
      const sent = memory.send(bytes, { ...headers, shares: JSON.stringify(shares) })
      sent.end()
      return sent.answer.then(({ status }) => status)
    }
    const first = sendOf(30, { 'delivery 1': 40, 'repository 1': 60 }, { hold: 'a' })
    await arrived()
    expect(await sendOf(11, { 'delivery 1': 40 })).toBe(429)
    expect(await sendOf(31, { 'delivery 2': 40, 'repository 1': 60 })).toBe(429)
    expect(await sendOf(40, { 'delivery 2': 40, 'repository 2': 60 })).toBe(200)
    expect(await sendOf(10, { 'delivery 1': 40 })).toBe(200)
    memory.holding.get('a')?.resolve()
    expect(await first).toBe(200)
    expect(await sendOf(40, { 'delivery 1': 40, 'repository 1': 60 })).toBe(200)
  })
})

test('announced bodies that never arrive reserve no memory', async () => {
  const [count, declared] = [200, 1_048_576]
  const relay = await startRelay(relayEnv())
  const sockets = await openSockets(relay.url, count)
  for (const socket of sockets) socket.write(webhookHead(`content-length: ${declared}`))
  await sleep(300)
  expect((await send(relay.url, { body: { n: 1 } })).status).toBe(202)
  expect((await send(relay.url, { body: 'x'.repeat(1_000_000) })).status).toBe(202)
  // The relay reads these bodies, and doesn't refuse them: the first sender gets a response when its body is complete.
  sockets[0]!.write(Buffer.alloc(declared, '['))
  expect(await responseOf(sockets[0]!)).toMatch(WRONG_SIGNATURE)
})

test.each(['/webhook', '/github'])(
  'a body that is sent to %s in small chunks needs no more memory than its size',
  async path => {
    // If the relay buffered each chunk, the bodies would need three times this heap.
    const env = { NODE_OPTIONS: '--max-old-space-size=64', GITHUB_WEBHOOK_SECRET: 'unknown' }
    const relay = await startRelay(relayEnv(env))
    const sockets = await openSockets(relay.url, 4)
    const pieces = `20\r\n${'x'.repeat(32)}\r\n`.repeat(20_000)
    const responses = sockets.map(socket => Promise.race([responseOf(socket), once(socket, 'close')]))
    for (const socket of sockets)
      socket.write(`${webhookHead('transfer-encoding: chunked', path)}${pieces}0\r\n\r\n`)
    for (const response of responses) expect(await response).toMatch(WRONG_SIGNATURE)
  },
)

test('refuses requests with invalid headers before their bodies arrive', async () => {
  const { url, issuer } = await startSystem({ GITHUB_WEBHOOK_SECRET: 'unknown' })
  const foreign = issuer.token({ repository: 'mallory/own', repositoryId: 99, runId: 1 }, url)
  const large = 'content-length: 1000000'
  const rows: [path: string, headers: string[], response: RegExp][] = [
    ['/webhook', ['x-port-signature: v1,x', large], /^HTTP\/1\.1 401 [\s\S]*x-port-timestamp is missing/],
    ['/webhook', [`x-port-timestamp: ${now()}`, large], /^HTTP\/1\.1 401 [\s\S]*x-port-signature is missing/],
    ['/webhook', ['x-port-timestamp: 1', 'x-port-signature: v1,x', large], /^HTTP\/1\.1 401 [\s\S]*is older/],
    ['/webhook', ['content-type: text/plain', large], /^HTTP\/1\.1 415 /],
    ['/webhook', ['content-length: 1048577'], /^HTTP\/1\.1 413 /],
    ['/github', [large], /^HTTP\/1\.1 401 /],
    ['/github', ['x-hub-signature-256: sha256=0', large], /^HTTP\/1\.1 401 /],
    ['/github', [`x-hub-signature: sha1=${'0'.repeat(40)}`, large], /^HTTP\/1\.1 401 /],
    ['/report', ['authorization: Bearer none', 'transfer-encoding: chunked'], /^HTTP\/1\.1 401 /],
    ['/report', ['authorization: Bearer none', large], /^HTTP\/1\.1 401 /],
    ['/report/start', [`authorization: Bearer ${foreign}`, 'content-length: 100'], /^HTTP\/1\.1 403 /],
  ]
  for (const [path, headers, response] of rows) {
    const socket = await openSocket(url)
    socket.write(`POST ${path} HTTP/1.1\r\n${['host: x', ...headers, '', ''].join('\r\n')}`)
    expect(await responseOf(socket), `${path} ${headers}`).toMatch(response)
  }
})

const WRONG_SIGNATURE = /^HTTP\/1\.1 401 [\s\S]*The signature .*doesn't match/

const now = () => Math.floor(Date.now() / 1000)

/** Returns the head of a webhook whose body the relay reads, although the signature is invalid. */
function webhookHead(length: string, path = '/webhook'): string {
  const ofPort = [`x-port-timestamp: ${now()}`, 'x-port-signature: v1,x']
  const lines = ['host: x', ...ofPort, `x-hub-signature-256: sha256=${'0'.repeat(64)}`, length]
  return `POST ${path} HTTP/1.1\r\n${lines.map(line => `${line}\r\n`).join('')}\r\n`
}

const responseOf = async (socket: Socket) => String((await once(socket, 'data'))[0])

function openSockets(url: string, count: number): Promise<Socket[]> {
  return Promise.all(Array.from({ length: count }, () => openSocket(url)))
}

async function openSocket(url: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  onTestFinished(() => void socket.destroy())
  return socket
}
