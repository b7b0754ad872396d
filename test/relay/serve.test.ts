import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import pino from 'pino'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../relay/config/config.ts'
import { createRelay } from '../../relay/relay.ts'
import { until } from '../../simulator/http-server.ts'
import { openRelayHere, relayEnv, startRelay, startServices } from '../support/relay.ts'
import { send, webhookRequest } from '../support/requests.ts'

describe('a running relay', () => {
  test('refuses a body without Content-Length as soon as the body exceeds RELAY_MAX_BODY', async () => {
    const relay = await openRelayHere(relayEnv({ RELAY_MAX_BODY: '10kb' }))
    const { init } = webhookRequest()
    const socket = connect(Number(new URL(relay.url).port), '127.0.0.1')
    // The relay responds and closes the connection during the upload, so the sender may get a connection reset.
    let response = ''
    let gone = false
    socket.on('data', data => (response += data))
    socket.on('error', () => (gone = true)).on('close', () => (gone = true))
    const headers = (init.headers as [string, string][]).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(`POST /webhook HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n${headers.join('')}\r\n`)
    let sent = 0
    for (; !gone && sent < 10_000_000; sent += 4096) {
      socket.write(`1000\r\n${'x'.repeat(4096)}\r\n`)
      await sleep(1)
    }
    socket.destroy()
    expect(sent).toBeLessThan(1_000_000)
    if (response) expect(response).toMatch(/^HTTP\/1\.1 413 /)
    expect((await send(relay.url)).status).toBe(202)
    const body = ReadableStream.from([new Uint8Array(11_000)])
    const refused = await fetch(`${relay.url}/webhook`, { ...init, body, duplex: 'half' } as RequestInit)
    expect(refused.status).toBe(413)
  })

  test('finishes open requests and dispatches on SIGTERM, then exits with 0', async () => {
    const { github, env: services } = await startServices()
    github.addRepository('acme/shop')
    github.fail({ delayMs: 600, takesEffect: true, status: 204, body: '' })
    const env = relayEnv({ ...services, PORT_CLIENT_ID: '' })
    const relay = await startRelay(env)
    expect((await send(relay.url, { body: { run: { id: 'r_1' }, inputs: {} } })).status).toBe(202)
    await until(() => github.requests.length > 0, 'GitHub receives the dispatch')
    const { init } = webhookRequest({ body: { slow: 1 } })
    const headers = { ...Object.fromEntries(init.headers as [string, string][]), connection: 'close' }
    const slow = httpRequest(`${relay.url}/webhook`, { method: 'POST', headers })
    slow.write('{"sl')
    await sleep(100)
    const stopped = relay.stop()
    await sleep(100)
    await expect(fetch(`${relay.url}/healthz`)).rejects.toThrow()
    slow.end('ow":1}')
    const [response] = await once(slow, 'response')
    expect(response.statusCode).toBe(202)
    response.resume()
    expect(await stopped).toBe(0)
    const logged = relay.log().flatMap(({ level, msg }) => (level < 40 ? msg : []))
    expect(logged.filter(message => message !== 'GitHub accepted the dispatch')).toEqual([
      ...['listening', 'the delivery is accepted', 'stopping', 'the delivery is accepted', 'stopped'],
    ])

    await openRelayHere(env)
    await until(() => github.dispatches.length === 2, 'the next relay dispatches the second delivery')
    expect(github.dispatches.map(each => each.clientPayload.run_id)).toEqual(['r_1', null])
  })

  test('warns at startup about features that will not work', async () => {
    const relay = await startRelay(relayEnv({ RELAY_REPOSITORY: '' }))
    const warnings = () => relay.log().filter(({ level }) => level === 40)
    await until(() => warnings().length > 1, 'the warnings')
    expect(warnings().map(({ msg }) => msg)).toEqual([
      "PORT_CLIENT_ID isn't set: the relay dispatches, but sends nothing to Port",
      'No repository is allowed: set RELAY_REPOSITORY, RELAY_ROUTES or RELAY_ALLOWED_REPOSITORIES',
    ])
  })
})

test('if the listen address is in use, startup fails with a clear message and releases the database', async () => {
  const first = await createRelay(
    readConfig(relayEnv({ HOST: '127.0.0.1', PORT: '0' })),
    pino({ level: 'silent' }),
  )
  onTestFinished(() => first.stop())
  const env = relayEnv({ HOST: '127.0.0.1', PORT: String(first.port) })
  await expect(createRelay(readConfig(env), pino({ level: 'silent' }))).rejects.toThrow(
    `The relay can't listen on 127.0.0.1:${first.port} (EADDRINUSE): set HOST and PORT to a free address.`,
  )
  const again = await createRelay(readConfig({ ...env, PORT: '0' }), pino({ level: 'silent' }))
  await again.stop()
})

test('a database belongs to the first Port organization that uses it: after that, a relay with another client ID or without one refuses to start', async () => {
  const refused = 'belongs to the Port organization with the client ID first, but PORT_CLIENT_ID is'
  const env = relayEnv({ HOST: '127.0.0.1', PORT: '0', PORT_API_URL: 'http://127.0.0.1:9' })
  for (const [PORT_CLIENT_ID, refusal] of [
    [''],
    ['first'],
    ['second', `${refused} second: correct`],
    ['', `${refused} not set: c`],
    ['first'],
  ] as [string, string?][]) {
    const starting = createRelay(readConfig({ ...env, PORT_CLIENT_ID }), pino({ level: 'silent' }))
    if (refusal) await expect(starting, PORT_CLIENT_ID).rejects.toThrow(refusal)
    else await (await starting).stop()
  }
})
