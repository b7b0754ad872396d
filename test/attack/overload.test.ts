import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Problem } from '../../relay/problem.ts'
import { createIntake } from '../../relay/webhook/intake.ts'
import { relayEnv, startRelay } from '../support/relay.ts'
import { send, webhookRequest } from '../support/send.ts'

describe('slow senders are cut off while others are served:', () => {
  const slow = [
    ['headers that never end', 'POST /webhook HTTP/1.1\r\nhost: x\r\n', 'x-slow: 1\r\n', 15_000],
    [
      'a body that never ends',
      'POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n',
      '{',
      45_000,
    ],
  ] as const
  test.concurrent.each(slow)(
    '%s',
    async (_, head, drip, withinMs) => {
      const relay = await startRelay(relayEnv())
      const began = performance.now()
      const sockets = await Promise.all(Array.from({ length: 100 }, () => openSocket(relay.url)))
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
  socket.write('POST /webhook HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n')
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

test('announced bodies that never come fill the intake, not the memory: 503 with Retry-After, until they are gone', async () => {
  const relay = await startRelay(relayEnv({ RELAY_MAX_BODY: '2kb' }))
  const sockets = await Promise.all(Array.from({ length: 64 }, () => openSocket(relay.url)))
  for (const socket of sockets)
    socket.write('POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 2048\r\n\r\n{')
  await sleep(300)
  const { path, init } = webhookRequest()
  const refused = await fetch(relay.url + path, init)
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
  expect(await refused.json()).toMatchObject({ title: 'Try again later', status: 503 })
  for (const socket of sockets) socket.destroy()
  await sleep(300)
  expect((await send(relay.url)).status).toBe(202)
})

async function openSocket(url: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  onTestFinished(() => void socket.destroy())
  return socket
}
