import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createIntake } from '../../relay/http/body-memory.ts'
import { Problem } from '../../relay/http/problem.ts'
import { openStage, startReport } from '../reports/open-stage.ts'
import { relayEnv, startRelay } from '../support/relay.ts'
import { send, webhookRequest } from '../support/send.ts'
import { until } from '../support/until.ts'

describe('slow senders are cut off while others are served:', () => {
  const slow = [
    ['headers that never end', null, 'x-slow: 1\r\n', 15_000],
    ['a body that never ends', 'content-length: 100000', '{', 45_000],
  ] as const
  test.concurrent.each(slow)(
    '%s',
    async (_, length, drip, withinMs) => {
      const head = length === null ? 'POST /webhook HTTP/1.1\r\nhost: x\r\n' : webhookHead(length)
      const relay = await startRelay(relayEnv())
      const began = performance.now()
      const sockets = await openSockets(relay.url, 100)
      const closed = sockets.map(socket => new Promise(resolve => socket.once('close', resolve)))
      for (const socket of sockets) socket.write(head)
      const dripping = setInterval(() => {
        for (const socket of sockets) if (!socket.destroyed) socket.write(drip)
      }, 500)
      onTestFinished(() => clearInterval(dripping))
      for (let n = 0; n < 20; n++) {
        const asked = performance.now()
        expect((await send(relay.url, { body: { n } })).status).toBe(202)
        expect(performance.now() - asked).toBeLessThan(2_000)
      }
      await Promise.all(closed)
      expect(performance.now() - began).toBeLessThan(withinMs)
      expect((await send(relay.url, { body: { after: 1 } })).status).toBe(202)
    },
    60_000,
  )
})

test('a chunked body is refused with 413 as soon as it is too large, whatever a length says', async () => {
  const relay = await startRelay(relayEnv({ RELAY_MAX_BODY: '1kb' }))
  const socket = await openSocket(relay.url)
  socket.write(webhookHead('transfer-encoding: chunked'))
  for (let n = 0; n < 5; n++) socket.write(`100\r\n${'x'.repeat(256)}\r\n`)
  // The last chunk never comes.
  const [answer] = await once(socket, 'data')
  expect(String(answer)).toMatch(/^HTTP\/1\.1 413 [\s\S]*connection: close/i)
  await once(socket, 'close')
})

describe('the intake', () => {
  const body = (bytes: number, until: Promise<unknown>) => async (reserve: (bytes: number) => void) => {
    reserve(bytes)
    await until
    return new Response()
  }

  test('refuses with 503 and Retry-After what it has no room for, and has the room again after', async () => {
    const intake = createIntake(100)
    const { promise, resolve } = Promise.withResolvers<void>()
    const held = [intake(body(60, promise)), intake(body(40, promise))]
    const refused = await intake(body(1, promise)).catch(error => error)
    expect(refused).toBeInstanceOf(Problem)
    expect(refused).toMatchObject({ status: 503, headers: { 'retry-after': '1', connection: 'close' } })
    resolve()
    await Promise.all(held)
    expect((await intake(body(100, promise))).status).toBe(200)
  })

  test('has its room back also where a body failed', async () => {
    const intake = createIntake(100)
    const failing = async (reserve: (bytes: number) => void) => {
      reserve(100)
      throw new Error('hung up')
    }
    await expect(intake(failing)).rejects.toThrow('hung up')
    expect((await intake(body(100, Promise.resolve()))).status).toBe(200)
  })
})

describe('announced bodies that never come take no room from those that come:', () => {
  test.each([
    [1024, 65_536],
    [200, 1_048_576],
  ])('%i of %i bytes', async (count, announced) => {
    const relay = await startRelay(relayEnv())
    const sockets = await openSockets(relay.url, count)
    for (const socket of sockets) socket.write(webhookHead(`content-length: ${announced}`))
    await sleep(300)
    expect((await send(relay.url, { body: { n: 1 } })).status).toBe(202)
    expect((await send(relay.url, { body: 'x'.repeat(1_000_000) })).status).toBe(202)
    // They are read, and not just refused: the first of them is answered once its body is there.
    sockets[0]!.write(Buffer.alloc(announced, '['))
    expect(String((await once(sockets[0]!, 'data'))[0])).toMatch(
      /^HTTP\/1\.1 401 [\s\S]*The signature does not match/,
    )
  })
})

test.each(['/webhook', '/github'])(
  'a body in pieces of one byte costs %s no more than its bytes',
  async path => {
    // Kept as they come, they would need three times this heap.
    const env = { NODE_OPTIONS: '--max-old-space-size=64', GITHUB_WEBHOOK_SECRET: 'unknown' }
    const relay = await startRelay(relayEnv(env))
    const sockets = await openSockets(relay.url, 4)
    const pieces = '1\r\nx\r\n'.repeat(250_000)
    const answers = await Promise.all(
      sockets.map(socket => {
        socket.write(`${webhookHead('transfer-encoding: chunked', path)}${pieces}0\r\n\r\n`)
        return Promise.race([once(socket, 'data'), once(socket, 'close')])
      }),
    )
    for (const [answer] of answers)
      expect(String(answer)).toMatch(/^HTTP\/1\.1 401 [\s\S]*The signature does not match/)
  },
)

test('what has come of bodies that never end fills the intake, not the memory: 503 with Retry-After, until they are gone', async () => {
  const relay = await startRelay(relayEnv({ RELAY_MAX_BODY: '2kb' }))
  const sockets = await openSockets(relay.url, 64)
  for (const socket of sockets) socket.write(`${webhookHead('content-length: 2048')}${'['.repeat(2047)}`)
  await sleep(500)
  const { path, init } = webhookRequest({ body: 'x'.repeat(200) })
  const refused = await fetch(relay.url + path, init)
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
  expect(await refused.json()).toMatchObject({ title: 'Try again later', status: 503 })
  for (const socket of sockets) socket.destroy()
  await sleep(300)
  expect((await send(relay.url)).status).toBe(202)
})

test('without its headers or out of time, a webhook is refused before its body has come', async () => {
  const relay = await startRelay(relayEnv())
  const rows: [string, RegExp][] = [
    ['x-port-signature: v1,x\r\n', /^HTTP\/1\.1 401 [\s\S]*The header x-port-timestamp is missing/],
    [`x-port-timestamp: ${now()}\r\n`, /^HTTP\/1\.1 401 [\s\S]*The header x-port-signature is missing/],
    ['x-port-timestamp: 1\r\nx-port-signature: v1,x\r\n', /^HTTP\/1\.1 401 [\s\S]*The webhook is older/],
    ['content-type: text/plain\r\n', /^HTTP\/1\.1 415 /],
  ]
  for (const [headers, answer] of rows) {
    const [socket] = await openSockets(relay.url, 1)
    socket!.write(`POST /webhook HTTP/1.1\r\nhost: x\r\n${headers}content-length: 1000000\r\n\r\n`)
    expect(String((await once(socket!, 'data'))[0])).toMatch(answer)
  }
  const [socket] = await openSockets(relay.url, 1)
  socket!.write('POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 1048577\r\n\r\n')
  expect(String((await once(socket!, 'data'))[0])).toMatch(/^HTTP\/1\.1 413 /)
})

describe('a report', () => {
  const FULL = 262_144
  const head = (token: string, length: string) =>
    `POST /report HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n${length}\r\n\r\n`

  test.each(['transfer-encoding: chunked', `content-length: ${FULL}`])(
    'is refused for its token before its body has come (%s)',
    async length => {
      const { url } = await openStage()
      const socket = await openSocket(url)
      socket.write(head('none', length))
      expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 401 /)
    },
  )

  test('that never ends fills the intake, not the memory: 503 with Retry-After, until it is gone', async () => {
    const stage = await openStage()
    const { id: delivery } = await stage.deliver()
    const token = await startReport(stage, delivery)
    const report = { delivery, sender: 'a', number: 1, reports: [] }
    // There is room for 64.
    const sockets = await openSockets(stage.url, 80)
    const answers = sockets.map(async socket => String((await once(socket, 'data'))[0]))
    for (const socket of sockets)
      socket.write(`${head(token, `content-length: ${FULL}`)}${'['.repeat(FULL - 1)}`)
    expect(await Promise.any(answers)).toMatch(/^HTTP\/1\.1 503 [\s\S]*retry-after: 1\r\n/i)
    for (const socket of sockets) socket.destroy()
    await until(async () => (await stage.post('/report', token, report)).status === 202, 'it has room again')
  })

  test.each([
    ['transfer-encoding: chunked', '8\r\n{"half":\r\n'],
    ['content-length: 100', '{"half":'],
  ])('that is cut is no trouble of the relay (%s)', async (length, half) => {
    const stage = await openStage()
    const { id: delivery } = await stage.deliver()
    const token = await startReport(stage, delivery)
    const socket = await openSocket(stage.url)
    socket.write(`${head(token, length)}${half}`)
    await sleep(100)
    socket.end()
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 400 /)
    expect(
      (await stage.post('/report', token, { delivery, sender: 'a', number: 1, reports: [] })).status,
    ).toBe(202)
    await stage.relay.stop()
    expect(stage.relay.log().filter(({ level }) => level >= 50)).toEqual([])
  })
})

const now = () => Math.floor(Date.now() / 1000)

/** All that a webhook's body is read for; the signature is none. */
function webhookHead(length: string, path = '/webhook'): string {
  const lines = ['host: x', `x-port-timestamp: ${now()}`, 'x-port-signature: v1,x', length]
  return `POST ${path} HTTP/1.1\r\n${lines.map(line => `${line}\r\n`).join('')}\r\n`
}

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
