import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { expect, test } from 'vitest'
import { openRelayHere, relayEnv } from '../support/relay.ts'
import { send } from '../support/send.ts'

const rows: [name: string, request: string, status: number, detail: RegExp][] = [
  ['words', 'hello\r\n\r\n', 400, /cannot be read/],
  [
    'headers of 20 KB',
    `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`,
    431,
    /more than 16 KB/,
  ],
  ['no host', 'GET /healthz HTTP/1.1\r\n\r\n', 400, /^The Host header is missing/],
  ['a host that is none', 'GET /healthz HTTP/1.1\r\nhost: a b\r\n\r\n', 400, /cannot be read/],
  ['a target that is no path', 'OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n', 400, /cannot be read/],
  ['a wish', 'POST /webhook HTTP/1.1\r\nhost: x\r\nexpect: more\r\n\r\n', 417, /100-continue/],
  [
    'two lengths',
    'POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n',
    400,
    /cannot be read/,
  ],
]

test('what never becomes a request is refused with problem details, too', async () => {
  const relay = await openRelayHere(relayEnv())
  for (const [name, request, status, detail] of rows) {
    const answer = await raw(relay.url, request)
    const [head = '', body = ''] = answer.split('\r\n\r\n')
    expect(head, name).toMatch(
      new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*content-type: application/problem\\+json`, 'i'),
    )
    expect(JSON.parse(body), name).toEqual({
      type: 'about:blank',
      title: expect.stringMatching(/\w/),
      status,
      detail: expect.stringMatching(detail),
    })
  }
  expect((await send(relay.url)).status).toBe(202)
})

test('a body in chunks of one byte is refused early: each chunk costs as much as a thousand bytes', async () => {
  const relay = await openRelayHere(relayEnv())
  const post = (chunk: string, count: number) =>
    raw(
      relay.url,
      `POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n` +
        `transfer-encoding: chunked\r\nx-port-timestamp: ${Math.floor(Date.now() / 1000)}\r\nx-port-signature: v1,x\r\n\r\n` +
        `${`${chunk.length.toString(16)}\r\n${chunk}\r\n`.repeat(count)}0\r\n\r\n`,
    )
  expect(await post(' ', 5_000)).toMatch(/^HTTP\/1\.1 400 [\s\S]*pieces of less than 16 bytes/)
  // Few small ones, and many that are large enough, are read: here, the signature is wrong.
  expect(await post(' ', 150)).toMatch(/^HTTP\/1\.1 401 /)
  expect(await post(' '.repeat(20), 5_000)).toMatch(/^HTTP\/1\.1 401 /)
})

const hasIPv6 = Object.values(networkInterfaces()).some(all => all?.some(({ family }) => family === 'IPv6'))
test.each(['127.0.0.1', ...(hasIPv6 ? ['::'] : [])])(
  'a health check in HTTP/1.0 needs no host, with HOST=%s',
  async HOST => {
    const relay = await openRelayHere(relayEnv({ HOST }))
    expect(await raw(relay.url, 'GET /healthz HTTP/1.0\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 200 [\s\S]*\{"ok":true\}$/,
    )
  },
)

/** All that is answered until the relay hangs up. */
function raw(url: string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(request))
    socket.on('data', data => (answer += data)).on('error', reject)
    socket.on('close', () => resolve(answer))
    socket.setTimeout(5_000, () =>
      socket.destroy(new Error(`no end of the answer to ${request.slice(0, 60)}`)),
    )
  })
}
