import { once } from 'node:events'
import { chmodSync, readdirSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { startPortApi } from '../../tools/simulator/port/port.ts'
import { readFixture } from '../support/fixture.ts'
import { openRelayHere, relayEnv, runRelay, startRelay, temporaryFolder } from '../support/relay.ts'
import { send, webhookRequest } from '../support/send.ts'
import { SECRET } from '../support/sign.ts'

describe('a running relay', () => {
  test('answers over real sockets, for every check one refusal, and accepts what is left', async () => {
    const relay = await startRelay(relayEnv({ RELAY_MAX_BODY: '1kb' }))
    const status = async (webhook: Parameters<typeof send>[1]) => (await send(relay.url, webhook)).status
    expect(await status({ body: 'x'.repeat(2000) })).toBe(413)
    expect(await status({ headers: { 'content-type': 'text/plain' } })).toBe(415)
    expect(await status({ headers: { 'x-port-signature': null } })).toBe(401)
    expect(await status({ timestamp: '1' })).toBe(401)
    expect(await status({ secret: 'wrong' })).toBe(401)
    expect(await status({ body: Buffer.from('{') })).toBe(400)
    expect(await status({ path: '/webhook/acme/other' })).toBe(403)
    expect(await status({ path: '/elsewhere' })).toBe(404)
    expect((await fetch(`${relay.url}/webhook`)).status).toBe(405)
    expect((await fetch(`${relay.url}/webhook`, { method: 'HEAD' })).status).toBe(405)
    expect(await (await fetch(`${relay.url}/healthz`)).json()).toEqual({ ok: true })
    expect(await (await fetch(`${relay.url}/readyz`)).json()).toMatchObject({ ok: true })
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      expect(await status({ method, body: { method } })).toBe(202)
    }
    const { headers, body } = readFixture('ui-default-day2')
    expect(await status({ headers, body })).toBe(202)
    expect(await status({ headers, body })).toBe(200)
  })

  test('refuses a body that grows past the limit as soon as it does, though its length was never announced', async () => {
    const relay = await startRelay(relayEnv({ RELAY_MAX_BODY: '10kb' }))
    const { init } = webhookRequest()
    const socket = connect(Number(new URL(relay.url).port), '127.0.0.1')
    // The relay answers and hangs up while the sender still sends: the sender may see a reset.
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
    const chunked = new ReadableStream({
      start(controller) {
        controller.enqueue(new Uint8Array(11_000))
        controller.close()
      },
    })
    const refused = await fetch(`${relay.url}/webhook`, {
      ...init,
      body: chunked,
      duplex: 'half',
    } as RequestInit)
    expect(refused.status).toBe(413)
    expect(await refused.json()).toEqual({
      type: 'about:blank',
      title: 'Content Too Large',
      status: 413,
      detail: 'The body is larger than RELAY_MAX_BODY allows (10240 bytes).',
    })
  })

  test('takes a chunked body within the limit', async () => {
    const relay = await startRelay(relayEnv())
    const { init } = webhookRequest({ body: { chunked: true } })
    const body = new Blob([init.body as Uint8Array<ArrayBuffer>]).stream()
    const options = { ...init, body, duplex: 'half' } as RequestInit
    expect((await fetch(`${relay.url}/webhook`, options)).status).toBe(202)
  })

  test('goes on when a sender hangs up in the middle of a body', async () => {
    const relay = await startRelay(relayEnv())
    const socket = connect(Number(new URL(relay.url).port), '127.0.0.1')
    await once(socket, 'connect')
    socket.write('POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"half":')
    await sleep(50)
    socket.destroy()
    expect((await send(relay.url)).status).toBe(202)
  })

  test('joins two signature headers, and takes the RUN_ID header in any spelling', async () => {
    const relay = await startRelay(relayEnv())
    const { init } = webhookRequest({ body: { a: 1 }, headers: { Run_Id: 'r_1' } })
    const headers = [['x-port-signature', 'v1,bm90IGl0'], ...(init.headers as [string, string][])]
    const response = await fetch(`${relay.url}/webhook`, { ...init, headers: headers as [string, string][] })
    expect([response.status, await response.json()]).toMatchObject([202, { run_id: 'r_1' }])
  })

  test('finishes on SIGTERM what it was answering and dispatching, then ends with 0', async () => {
    const github = await startGitHubApi()
    onTestFinished(() => github.close())
    github.addRepository('acme/shop')
    github.fail({ delayMs: 600, takesEffect: true, status: 204, body: '' })
    const env = relayEnv({ GITHUB_API_URL: github.url, GITHUB_TOKEN: github.token })
    const relay = await startRelay(env)
    expect((await send(relay.url, { body: { run: { id: 'r_1' }, inputs: {} } })).status).toBe(202)
    await until(() => github.requests.length > 0, 'GitHub is asked')
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
    expect(
      relay
        .log()
        .filter(line => line.level < 40)
        .map(line => line.msg)
        .filter(message => message !== 'GitHub accepted the dispatch'),
    ).toEqual(['listening', 'the delivery is accepted', 'stopping', 'the delivery is accepted', 'stopped'])

    const next = await startRelay(env)
    await until(() => github.dispatches.length === 2, 'the second is dispatched by the next relay')
    await sleep(300)
    expect(github.dispatches.map(each => each.clientPayload.run_id)).toEqual(['r_1', null])
    expect(await next.stop()).toBe(0)
  })

  test('says at the start what will not work', async () => {
    const relay = await startRelay(relayEnv({ RELAY_REPOSITORY: '' }))
    expect(
      relay
        .log()
        .filter(line => line.level === 40)
        .map(line => line.msg),
    ).toEqual([
      'PORT_CLIENT_ID is not set: the relay dispatches, but sends nothing to Port',
      'No repository is allowed: set RELAY_REPOSITORY, RELAY_ROUTES or RELAY_ALLOWED_REPOSITORIES',
    ])
  })

  test('never prints a secret or anything of the person, whatever goes wrong', async () => {
    const [port, github] = await Promise.all([startPortApi({ clientSecret: SECRET }), startGitHubApi()])
    onTestFinished(async () => void (await Promise.all([port.close(), github.close()])))
    github.addRepository('acme/shop')
    port.createRun({ id: 'r_Q0YotCZMKxDLdlaU' })
    const relay = await startRelay(
      relayEnv({
        PORT_CLIENT_ID: port.clientId,
        PORT_API_URL: port.url,
        GITHUB_API_URL: github.url,
        GITHUB_TOKEN: github.token,
        RELAY_ADMIN_TOKEN: 'an admin token of some length',
        LOG_LEVEL: 'trace',
      }),
    )
    port.fail({ status: 500, times: 1 })
    github.fail({ status: 500, times: 1, takesEffect: true })
    const { headers, body } = readFixture('context-create')
    expect((await send(relay.url, { headers, body })).status).toBe(202)
    expect((await send(relay.url, { headers, body, secret: 'wrong' })).status).toBe(401)
    expect((await send(relay.url, { body: { run: { id: 'r_unknown' }, inputs: {} } })).status).toBe(202)
    await until(() => github.dispatches.length > 0, 'it is dispatched')
    await sleep(300)
    await relay.stop()
    const sensitive = [
      SECRET,
      github.token,
      'an admin token',
      'jane.doe',
      'Jane',
      'Doe',
      'payments-api',
      'eyJ',
    ]
    for (const word of sensitive) expect(relay.printed(), word).not.toContain(word)
    expect(relay.printed()).toContain('r_Q0YotCZMKxDLdlaU')
  })
})

describe('a relay that cannot start ends with 1, and says why:', () => {
  test('every problem of the configuration at once, without a stack or a secret', async () => {
    const ended = await runRelay({
      GITHUB_TOKEN: 'gh-token-secret',
      GITHUB_APP_ID: '1',
      PORT: 'x',
      RELAY_REPOSITRY: 'acme/shop',
    })
    expect(ended).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'The configuration has 5 problems:\n' +
        "  - PORT_CLIENT_SECRET is required: your Port organization's client secret, which signs Port's webhooks\n" +
        '  - PORT must be a port number, 0 to 65535\n' +
        '  - GITHUB_TOKEN and GITHUB_APP_ID/GITHUB_APP_PRIVATE_KEY are both set: keep one\n' +
        '  - GITHUB_APP_ID needs GITHUB_APP_PRIVATE_KEY: set both\n' +
        "  - RELAY_REPOSITRY isn't known: did you mean RELAY_REPOSITORY?\n",
    })
  })

  test('a database in a place where nothing can be written', async () => {
    const ended = await runRelay(relayEnv({ RELAY_DATABASE: 'sqlite:/proc/relay.db', PORT: '0' }))
    expect(ended.code).toBe(1)
    expect(ended.stderr).toMatch(
      /^The database \/proc\/relay\.db cannot be opened \(.+\): RELAY_DATABASE must name a file in a folder that the relay may write to\.\n$/,
    )
  })

  test('a database that is none', async () => {
    const path = join(temporaryFolder(), 'relay.db')
    writeFileSync(path, 'not a database, but a text of some length'.repeat(100))
    const ended = await runRelay(relayEnv({ RELAY_DATABASE: `sqlite:${path}`, PORT: '0' }))
    expect(ended.code).toBe(1)
    expect(ended.stderr).toContain(`The database ${path} cannot be opened (file is not a database)`)
  })

  test('a database that another relay holds, until that one is gone', async () => {
    const env = relayEnv({ HOST: '127.0.0.1', PORT: '0' })
    const first = await startRelay(env)
    const path = env.RELAY_DATABASE!.slice('sqlite:'.length)
    const second = await runRelay(env)
    expect(second.code).toBe(1)
    expect(second.stderr).toBe(
      `Another relay is running on ${path}: stop it first, or give each relay its own file.\n`,
    )
    expect((await send(first.url)).status).toBe(202)
    await first.kill()
    const third = await startRelay(env)
    expect((await send(third.url, { body: { after: 'the first is gone' } })).status).toBe(202)
  })
})

test('a secret may come from a file', async () => {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'secret'), 'from a file\n')
  chmodSync(join(folder, 'secret'), 0o600)
  const { PORT_CLIENT_SECRET: _, ...env } = relayEnv()
  const relay = await openRelayHere({ ...env, PORT_CLIENT_SECRET_FILE: join(folder, 'secret') })
  expect((await send(relay.url, { secret: 'from a file' })).status).toBe(202)
  expect((await send(relay.url)).status).toBe(401)
})

test('a database folder that is missing is made', async () => {
  const folder = temporaryFolder()
  const relay = await openRelayHere(relayEnv({ RELAY_DATABASE: `sqlite:${folder}/a/b/relay.db` }))
  expect((await send(relay.url)).status).toBe(202)
  expect(readdirSync(`${folder}/a/b`)).toContain('relay.db')
})
