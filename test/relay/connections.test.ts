import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { LIMITS } from '../../relay/config/limits.ts'
import { openRelayHere, relayEnv } from '../support/relay.ts'
import { webhookRequest } from '../support/requests.ts'

const UNSIGNED = 'POST /webhook HTTP/1.1\r\nhost: relay\r\ncontent-length: 2\r\n\r\n{}'

function signed(): string {
  const { path, init } = webhookRequest({ body: { run: { id: 'r_1' } } })
  const headers = [...new Headers(init.headers)].map(([name, value]) => `${name}: ${value}\r\n`)
  const body = Buffer.from(init.body as Uint8Array).toString()
  return `POST ${path} HTTP/1.1\r\nhost: relay\r\ncontent-length: ${body.length}\r\n${headers.join('')}\r\n${body}`
}

/** Opens a connection to a relay. `send` returns the status of the response, and whether the response closes the connection. */
async function open() {
  const relay = await openRelayHere(relayEnv())
  const socket = connect(Number(new URL(relay.url).port), '127.0.0.1')
  const errors: Error[] = []
  socket.on('error', error => errors.push(error))
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  const ended = once(socket, 'end')
  return {
    socket,
    ended,
    errors,
    async send(request: string) {
      socket.write(request)
      const [data] = await once(socket, 'data')
      const text = String(data)
      return `${text.slice(9, 12)} ${/^connection: close/im.test(text) ? 'close' : 'open'}`
    },
  }
}

test('the relay closes a connection after several unverified requests in a row', async () => {
  const { send, ended, errors } = await open()
  const seen = []
  for (let n = 0; n < LIMITS.unverifiedInARow; n++) seen.push(await send(UNSIGNED))
  expect(seen).toEqual(['401 open', '401 open', '401 close'])
  await ended
  expect(errors).toEqual([])
})

test('a verified request keeps its connection open, and resets the count', async () => {
  const { send } = await open()
  for (let round = 0; round < 3; round++) {
    expect([await send(UNSIGNED), await send(UNSIGNED)]).toEqual(['401 open', '401 open'])
    expect(await send(signed())).toMatch(/^20[02] open$/)
  }
})

test('a refused body that is still arriving does not reset the connection before the sender has read the response', async () => {
  const { socket, send, ended, errors } = await open()
  for (let n = 1; n < LIMITS.unverifiedInARow; n++) await send(UNSIGNED)
  const head = UNSIGNED.replace('content-length: 2', 'content-length: 2000000').replace('{}', '')
  expect(await send(head)).toBe('413 close')
  socket.write('x'.repeat(1_000_000))
  await ended
  expect(errors).toEqual([])
})
