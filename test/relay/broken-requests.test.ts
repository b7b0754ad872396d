import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { createRelayServer } from '../../relay/http/server.ts'
import { until } from '../../simulator/http-server.ts'
import { listenHere } from '../support/listen-here.ts'
import { openRelayHere, relayEnv } from '../support/relay.ts'
import { send } from '../support/requests.ts'

test('refuses requests that are not valid HTTP/1.1, and logs the reason', async () => {
  const relay = await openRelayHere(relayEnv())
  const length = 'content-length: 1\r\ncontent-length: 2\r\n'
  const rows: [request: string, status: number][] = [
    ['hello\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431],
    ['GET /healthz HTTP/1.1\r\n\r\n', 400],
    ['GET /healthz HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n', 400],
    ['OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 400],
    ['POST /webhook HTTP/1.1\r\nhost: x\r\nexpect: more\r\nconnection: close\r\n\r\n', 417],
    [`POST /webhook HTTP/1.1\r\nhost: x\r\n${length}\r\n`, 400],
  ]
  for (const [request, status] of rows)
    expect(await raw(relay.url, request), request).toMatch(
      new RegExp(`^HTTP/1\\.1 ${status} .*\\r\\nconnection: close`, 'is'),
    )
  expect((await send(relay.url)).status).toBe(202)
  expect(relay.log().find(({ status }) => status === 400)).toMatchObject({
    msg: "a request that can't be read was refused",
    reason: expect.stringMatching(/^Parse Error: /),
  })
})

test('refuses a body in one-byte chunks early, because each chunk counts as a thousand bytes', async () => {
  const relay = await openRelayHere(relayEnv())
  const post = (chunk: string, count: number) =>
    raw(
      relay.url,
      `POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n` +
        `transfer-encoding: chunked\r\nx-port-timestamp: ${Math.floor(Date.now() / 1000)}\r\nx-port-signature: v1,x\r\n\r\n` +
        `${`${chunk.length.toString(16)}\r\n${chunk}\r\n`.repeat(count)}0\r\n\r\n`,
    )
  expect(await post(' ', 5_000)).toMatch(/^HTTP\/1\.1 400 [\s\S]*pieces of less than 16 bytes/)
  // The relay reads a few small chunks, or many large chunks. It then refuses the wrong signature.
  expect(await post(' ', 150)).toMatch(/^HTTP\/1\.1 401 /)
  expect(await post(' '.repeat(20), 5_000)).toMatch(/^HTTP\/1\.1 401 /)
})

describe('if a client sends a request before the previous response is flushed (pipelining),', () => {
  const get = 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n'
  const open = async (give: (request: Request) => Response | Promise<Response>) => {
    const counts = { processed: 0, refused: 0 }
    const server = createRelayServer(
      request => {
        counts.processed++
        return give(request)
      },
      () => counts.refused++,
    )
    const socket = connect(await listenHere(server), '127.0.0.1').on('error', () => {})
    await once(socket, 'connect')
    return { socket, counts, closed: new Promise(resolve => socket.once('close', resolve)) }
  }

  test.each([
    ['GET', get],
    ['CONNECT', 'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n'],
    ['an Expect header', 'GET / HTTP/1.1\r\nhost: x\r\nexpect: more\r\n\r\n'],
    ['no Host header', 'GET / HTTP/1.1\r\n\r\n'],
  ])('the relay processes one of 1,000 requests, refuses the next, and disconnects (%s)', async (_, rest) => {
    const { socket, counts, closed } = await open(() => new Response('ok'))
    socket.resume().write(get + rest.repeat(1_000))
    await closed
    expect(counts).toEqual({ processed: 1, refused: 1 })
  })

  test('the relay closes the connection, but serves sequential requests, even after a 401 or a response of 5 MB', async () => {
    const { socket, counts } = await open(({ url }) =>
      url.endsWith('large') ? new Response(`${'x'.repeat(5_000_000)}!`) : Response.json({}, { status: 401 }),
    )
    let response = ''
    socket.on('data', data => (response += data))
    const post = 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc'
    for (const [request, end] of [
      [post, '{}'],
      [get.replace('healthz', 'large'), 'x!'],
      [post, '{}'],
    ]) {
      response = ''
      socket.write(request!)
      await until(() => response.endsWith(end!), 'the whole response')
    }
    expect(counts).toEqual({ processed: 3, refused: 0 })
  })
})

test('an HTTP/1.0 health check needs no Host header', async () => {
  const relay = await openRelayHere(relayEnv())
  const response = await raw(relay.url, 'GET /healthz HTTP/1.0\r\n\r\n')
  expect(response).toMatch(/^HTTP\/1\.1 200 [\s\S]*\{"ok":true\}$/)
})

/** Returns everything that the relay sends until it closes the connection. */
function raw(url: string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let response = ''
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(request))
    socket.on('data', data => (response += data)).on('error', reject)
    socket.on('close', () => resolve(response))
    socket.setTimeout(60_000, () =>
      socket.destroy(new Error(`no complete response to ${request.slice(0, 60)}`)),
    )
  })
}
