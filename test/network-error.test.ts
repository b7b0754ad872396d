import { createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { describeNetworkError, wasNotSent } from '../port/client/errors.ts'
import { keepPort } from '../simulator/keep-port.ts'
import { listenHere } from './support/listen-here.ts'

/** Opens a port on this machine. `response` is called with each connection. */
function listen(response: (socket: Socket) => void): Promise<number> {
  const server = createServer(socket => {
    socket.on('error', () => {})
    response(socket)
  })
  return listenHere(server)
}

const failure = (url: string, init?: RequestInit) =>
  fetch(url, { method: 'POST', body: '{}', ...init }).then(
    () => expect.fail('The request got a response'),
    error => error,
  )

const writeHttp = (socket: Socket) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')
test.each<[string, () => Promise<string>]>([
  ['the connection is refused', async () => `http://127.0.0.1:${await keepPort()}`],
  ['the connection is refused on every address', async () => `http://localhost:${await keepPort()}`],
  ['the host is unknown', async () => 'http://relay.invalid'],
  ['the server does not speak TLS', async () => `https://127.0.0.1:${await listen(writeHttp)}`],
])('recognizes that nothing was sent if %s', async (_, url) => {
  const error = await failure(await url())
  expect(wasNotSent(error), describeNetworkError(error)).toBe(true)
  expect(wasNotSent(new Error('The request failed', { cause: error }))).toBe(true)
  expect(describeNetworkError(error)).toMatch(/^[A-Z_]+$/)
})

test.each<[string, (socket: Socket) => void, RegExp]>([
  [
    'the connection is cut after sending',
    socket => void socket.once('data', () => socket.destroy()),
    /^[A-Z_]+$/,
  ],
  ['no response arrives in time', () => {}, /^no response in time$/],
])('assumes that the request may have been processed if %s', async (_, respond, described) => {
  const signal = AbortSignal.timeout(500)
  const error = await failure(`http://127.0.0.1:${await listen(respond)}`, { signal })
  expect(wasNotSent(error)).toBe(false)
  expect(describeNetworkError(error)).toMatch(described)
})

test('if the thrown value is not an error, assumes that the request may have been processed', () => {
  expect([wasNotSent('x'), describeNetworkError(undefined)]).toEqual([false, 'no response'])
  // The message of a TypeError may quote a header.
  const described = [new Error('no route'), new TypeError('secret')].map(describeNetworkError)
  expect(described).toEqual(['no route', 'no response'])
})
