import { describe, expect, test } from 'vitest'
import { logBatches } from '../port/client/run-bodies.ts'
import { calls, failure, fakePort, info, openPort } from './open-port.ts'

describe('an action run', () => {
  test('returns its status, external run id, inputs, and rendered body', async () => {
    const { port, client } = await openPort()
    const { id } = port.createRun({ properties: { version: '1' }, payload: { body: { a: 1 } } })
    const run = client.run(id)
    expect(run).toMatchObject({ id, kind: 'action_run' })
    expect(await run.read()).toEqual({
      ...{ status: 'in_progress', finished: false, externalRunId: null, synchronized: false },
      ...{ properties: { version: '1' }, body: { a: 1 } },
    })
    await run.update({ externalRunId: '42' })
    port.endRun(id, 'FAILURE')
    expect(await run.read()).toMatchObject({ status: 'failure', finished: true, externalRunId: '42' })
  })

  test.each([
    ['SUCCESS', 'success', true],
    ['FAILURE', 'failure', true],
    ['DECLINED', 'cancelled', true],
    ['WAITING_FOR_APPROVAL', 'waiting', false],
    ['A_NEW_STATUS', 'unknown', false],
  ])('with the status %s counts as %s', async (status, expected, finished) => {
    const { client } = fakePort({ run: { id: 'r_1', status } })
    const state = { status: expected, finished, properties: null }
    expect(await client.run('r_1').read()).toMatchObject(state)
  })

  test('finishes even if Port rejects optional fields, which are omitted one by one', async () => {
    const { port, client } = await openPort()
    const finish = async (...refused: string[]) => {
      const { id } = port.createRun()
      for (const name of refused)
        port.fail({
          match: ({ method, body }) => method === 'PATCH' && name in (body as object),
          ...{ times: Number.POSITIVE_INFINITY, status: 422 },
          body: { ok: false, error: 'invalid_request', message: `${name} will not do` },
        })
      port.clearRequests()
      const update = { summary: 'Done', statusLabel: 'Done', link: ['https://a'] }
      const error = await client
        .run(id)
        .update({ conclusion: 'success', ...update })
        .catch(String)
      port.clearFailures()
      const tries = calls(port).filter(call => call.startsWith('PATCH')).length
      return { run: port.run(id), tries, error }
    }
    expect(await finish('link')).toMatchObject({ run: { status: 'SUCCESS', summary: 'Done' }, tries: 2 })
    expect(await finish('link', 'summary')).toMatchObject({ run: { status: 'SUCCESS' }, tries: 3 })
    expect((await finish('status')).error).toContain('status will not do')
  })

  test.each(['x', '"\n', '😀'])('gets a long label and summary of %j with a truncation mark', async part => {
    const { port, client } = await openPort()
    const { id } = port.createRun()
    const text = part.repeat(400_000)
    await client.run(id).update({ statusLabel: text, summary: text })
    const { statusLabel, summary } = port.run(id)
    expect(statusLabel).toHaveLength(1_000)
    expect(statusLabel!.endsWith('…')).toBe(true)
    const mark = `\n\n… (cut from ${text.length} characters)`
    expect(summary!.endsWith(mark)).toBe(true)
    expect(text.startsWith(summary!.slice(0, -mark.length - 1))).toBe(true)
    const bytes = Buffer.byteLength(JSON.stringify(summary))
    expect(bytes).toBeGreaterThan(179_990)
    expect(bytes).toBeLessThanOrEqual(180_000)
    // Sends the truncated summary once more, as the relay does.
    await client.run(id).update({ summary: summary! })
    expect(port.run(id).summary).toBe(summary)
  })

  test('gets its log in few requests, in order, with long lines truncated', () => {
    const [[line] = []] = logBatches([info('x'.repeat(7_999) + '😀'.repeat(2_000_000))])
    expect(line?.message).toMatch(/^x{7999}\ufffd… \(cut from 4007999 characters\)$/)
    const lines = Array.from({ length: 60 }, (_, index) => info(`${index}${'\u0000'.repeat(8_000)}`))
    const batches = logBatches(lines)
    expect(batches.length).toBeGreaterThan(10)
    expect(batches.flat().map(({ message }) => Number.parseInt(message, 10))).toEqual([...lines.keys()])
    for (const batch of batches)
      expect(Buffer.byteLength(JSON.stringify({ logs: batch }))).toBeLessThan(256 * 1024)
  })
})

describe('a node run', () => {
  test('gets its link even if Port refuses its label, as before September 2026', async () => {
    const { port, client } = await openPort()
    const { id } = port.createNodeRun()
    const body = { ok: false, error: 'invalid_request', message: 'must NOT have additional properties' }
    port.fail({
      match: ({ method, body }) => method === 'PATCH' && 'statusLabel' in (body as object),
      ...{ times: Number.POSITIVE_INFINITY, status: 422, body },
    })
    await client.run(id).update({ statusLabel: 'Running', link: ['https://a'], externalRunId: '42' })
    expect(port.nodeRun(id)).toMatchObject({ links: ['https://a'], externalRunId: '42' })
  })

  test('gets its label, links, and log, and finishes with a result', async () => {
    const { port, client } = await openPort()
    const { id } = port.createNodeRun()
    const run = client.run(id)
    const link = ['https://github.com/acme/shop/actions/runs/42']
    const logs = [info('one'), { level: 'ERROR' as const, message: 'two' }]
    await run.update({ statusLabel: 'Running', link, externalRunId: '42' })
    await run.log(logs)
    const end = { statusLabel: 'Canceled', summary: 'Stopped', link, externalRunId: '42' }
    await run.update({ conclusion: 'cancelled', ...end })
    const output = { workflowRunUrl: link[0], workflowRunId: 42 }
    const more = { links: link, externalRunId: '42' }
    expect(port.requests.slice(1).map(request => request.body)).toEqual([
      { status: 'IN_PROGRESS', output, statusLabel: 'Running', ...more },
      { logs },
      {
        ...{ status: 'COMPLETED', result: 'CANCELLED', statusLabel: 'Canceled', ...more },
        output: { ...output, summary: 'Stopped' },
      },
    ])
  })

  test('cannot be read, so reading sends no request', async () => {
    const { port, client } = await openPort()
    expect(await client.run('wfnr_1').read()).toMatchObject({ status: 'unknown', finished: false })
    expect(port.requests).toEqual([])
  })
})

describe('the token', () => {
  test('is requested once for simultaneous calls, and again a minute before it expires', async () => {
    let now = Date.now()
    const { port, client } = await openPort({ expiresIn: 10_800 }, { clock: () => now })
    const { id } = port.createRun()
    const tokens = () => calls(port).filter(call => call.startsWith('POST')).length
    const read = () => Promise.all([client.run(id).read(), client.run(id).read()])
    await read()
    now += 10_700_000
    await read()
    expect(tokens()).toBe(1)
    now += 60_000
    await read()
    expect(tokens()).toBe(2)
  })

  test('is requested once more after a 401, and passed to a callback for masking each time', async () => {
    const tokens: string[] = []
    const { port, client } = await openPort({}, { onToken: token => tokens.push(token) })
    const { id } = port.createRun()
    await client.authorize()
    port.expireTokens()
    await Promise.all([client.run(id).read(), client.run(id).read()])
    expect(new Set(tokens).size).toBe(2)
    expect(tokens).toHaveLength(2)
  })

  test('causes a credentials error without a third request if Port also rejects the new one', async () => {
    const { port, client } = await openPort()
    port.fail({ match: ({ method }) => method === 'GET', status: 401, times: 9 })
    const error = await failure(client.run('r_1').read())
    expect(error).toMatchObject({ kind: 'credentials', status: 401, temporary: false })
    expect(calls(port).filter(call => call.startsWith('GET'))).toHaveLength(2)
  })
})

describe('each Port error has a kind and a message that states what to do:', () => {
  test('the client secret is wrong', async () => {
    const { client } = await openPort({}, { clientSecret: 'of another organization' })
    const error = await failure(client.authorize())
    expect(error).toMatchObject({ kind: 'credentials', status: 401 })
    expect(error.message).toContain("Port doesn't accept PORT_CLIENT_ID and PORT_CLIENT_SECRET")
    expect(error.message).not.toContain('of another organization')
  })

  test('the run is finished, synchronous, or unknown', async () => {
    const { port, client } = await openPort()
    const ended = port.createRun()
    port.endRun(ended.id, 'SUCCESS')
    const synchronized = port.createRun({ synchronized: true })
    const { id } = ended
    expect(await failure(client.run(id).log([info('x')]))).toMatchObject({ kind: 'finished', status: 422 })
    expect(await failure(client.run(id).update({ statusLabel: 'x' }))).toMatchObject({ kind: 'finished' })
    const sync = await failure(client.run(synchronized.id).update({ conclusion: 'success' }))
    expect(sync).toMatchObject({ kind: 'synchronized', status: 422, temporary: false })
    const unknown = await failure(client.run('r_nobody').read())
    expect(unknown).toMatchObject({ kind: 'unknown_run', status: 404 })
    expect(unknown.message).toContain('PORT_API_URL')
    const node = await failure(client.run('wfnr_0000000000000000').log([info('x')]))
    expect(node).toMatchObject({ kind: 'unknown_run' })
  })

  const now = Date.parse('2026-11-24T12:00:00Z')
  test.each<[Record<string, string>, number | null]>([
    [{ 'retry-after': '7' }, now + 7_000],
    [{ 'retry-after': 'Tue, 24 Nov 2026 12:00:30 GMT', 'x-ratelimit-reset': '5' }, now + 30_000],
    [{ 'x-ratelimit-reset': '5' }, now + 5_000],
    [{ 'x-ratelimit-reset': String(now / 1000 + 90) }, now + 90_000],
    [{ 'retry-after': 'soon', 'x-ratelimit-reset': 'later' }, null],
    [{ 'retry-after': '0.2' }, now + 1_000],
    [{ 'retry-after': 'Tue, 24 Nov 2026 11:59:30 GMT' }, null],
    [{ 'retry-after': '99999999999999' }, now + 600_000],
    [{ 'x-ratelimit-reset': String(now + 90_000) }, now + 90_000],
    [{}, null],
  ])('Port responds 429 with the headers %o', async (headers, retryAt) => {
    const { port, client } = await openPort({}, { clock: () => now })
    port.fail({ status: 429, headers })
    const later = { kind: 'later', status: 429, retryAt, temporary: true }
    expect(await failure(client.authorize())).toMatchObject(later)
  })

  const code = { ok: false, error: 'some_code', message: 'Some words' }
  test('the credentials lack a permission', async () => {
    const { port, client } = await openPort()
    await client.authorize()
    port.fail({ status: 403, body: code })
    expect(await failure(client.run(port.createRun().id).read())).toMatchObject({
      ...{ kind: 'refused', status: 403 },
      message: expect.stringContaining(
        '(some_code: Some words): PORT_CLIENT_ID and PORT_CLIENT_SECRET lack the',
      ),
    })
  })

  test.each([
    [403, 'credentials', "(some_code: Some words): Port doesn't accept PORT_CLIENT_ID"],
    [404, 'credentials', "to the address of Port's API without a path"],
    [409, 'unreachable', "Port can't accept this request right now."],
  ])(
    'a %i for a token request counts as temporary or as a credentials error, but not as an error of the run',
    async (...row) => {
      const [status, kind, sentence] = row
      const { port, client } = await openPort()
      port.fail({ status, body: code })
      const message = expect.stringContaining(sentence)
      expect(await failure(client.run('r_1').update({ conclusion: 'success' }))).toMatchObject({
        kind,
        status,
        message,
      })
    },
  )

  const FOREIGN = "this response isn't from Port; check PORT_API_URL"
  const MOVED = 'https://eu.port.test/base/v1/auth/access_token?x=1'
  test.each<[string, Record<string, string>, string]>([
    ["Port's new address", { location: MOVED }, 'correct PORT_API_URL to https://eu.port.test/base.'],
    ['another page', { location: 'https://sso.test/login' }, FOREIGN],
    ['no location', {}, FOREIGN],
  ])('does not follow a redirect to %s', async (_, headers, sentence) => {
    const { port, client } = await openPort()
    port.fail({ status: 301, body: {}, headers })
    const error = await failure(client.authorize())
    expect(error).toMatchObject({ kind: 'unreachable', status: 301, temporary: true })
    expect(error.message).toContain(sentence)
    expect(port.requests).toHaveLength(1)
  })

  test('the connection is cut or refused, or the request times out', async () => {
    const { port, client } = await openPort()
    port.fail({ cut: 'after' })
    const unreachable = { kind: 'unreachable', status: null, retryAt: null }
    expect(await failure(client.authorize())).toMatchObject(unreachable)
    const hurried = await openPort({}, { timeoutMs: 50 })
    hurried.port.fail({ delayMs: 5_000 })
    const slow = await failure(hurried.client.authorize())
    expect(slow.message).toContain('no response in time')
    expect(slow.cause).toBeInstanceOf(Error)
    await port.stop()
    const { message } = await failure(client.authorize())
    const refused = `Port didn't respond to POST /v1/auth/access_token at ${port.url}: ECONNREFUSED`
    expect(message).toContain(refused)
  })

  test.each([
    ['an HTML page with status 200', '<html>', 200, 'unreachable'],
    ['an empty body with status 404', '', 404, 'unreachable'],
    ['an HTML page with status 413', '<html>', 413, 'refused'],
    ['JSON from another service', '{"hello":1}', 200, 'unreachable'],
  ])('a proxy or gateway returns %s', async (_, text, status, kind) => {
    const error = await failure(fakePort(text, status).client.authorize())
    expect(error).toMatchObject({ kind, temporary: kind === 'unreachable' })
    if (status !== 413) expect(error.message).toContain('check PORT_API_URL')
    if (status === 200) expect(error.message).toMatch(/ responded to POST \S+ but not in the format/)
  })

  test('secrets are redacted before a message is truncated, and the error code is still recognized', async () => {
    const redact = (text: string) => text.replaceAll('hunter2', '***').replaceAll('run_exhausted', '***')
    const { port, client } = await openPort({}, { redact })
    const { id } = port.createRun()
    await client.authorize()
    for (const secret of ['hunter2', port.clientSecret]) {
      const message = `${'x'.repeat(297)}${secret} and more`
      port.fail({ status: 422, body: { ok: false, error: 'run_exhausted', message } })
      const error = await failure(client.run(id).log([info('x')]))
      expect(error.message).toContain(`(***: ${'x'.repeat(297)}***): run ${id} has already finished.`)
      expect(error.kind).toBe('finished')
      expect(error.stack).not.toContain(secret)
    }
  })
})

const ok = false
const rows: [status: number, body: unknown, kind: string, temporary: boolean][] = [
  [404, { ok, error: 'not_found', message: 'The action run was not found' }, 'unknown_run', false],
  [404, { ok, error: 'action_run_not_found', message: 'No such run' }, 'unknown_run', false],
  [404, { ok, error: 'maintenance', message: 'Come back later' }, 'unreachable', true],
  [404, { message: 'Not Found' }, 'unreachable', true],
  [404, { ok, error: 'Not Found', message: 'No app for this host' }, 'unreachable', true],
  [404, { error: 'not_found' }, 'unreachable', true],
  [404, null, 'unreachable', true],
  [403, { message: 'Forbidden' }, 'unreachable', true],
  [409, { message: 'Run already finished' }, 'unreachable', true],
  [422, { error: 'run_exhausted' }, 'unreachable', true],
  [422, { ok, error: 'run_exhausted' }, 'finished', false],
  [422, { ok, error: 'invalid', message: 'Action run already finished execution' }, 'finished', false],
  [422, { ok, error: 'run_synchronized_error' }, 'synchronized', false],
  [422, { ok, error: 'invalid_request', message: 'status is unknown' }, 'refused', false],
  [409, { ok, error: 'x', message: 'Busy' }, 'unreachable', true],
  [409, { ok, error: 'x', message: 'Run already finished' }, 'finished', false],
  [500, { ok, error: 'x', message: 'Some words' }, 'unreachable', true],
  [413, { message: 'Payload Too Large' }, 'refused', false],
  [401, { message: 'Unauthorized' }, 'credentials', false],
]
test.each(rows)(
  'the sender retries a result until Port itself rejects it: %i with %j counts as "%s"',
  async (status, body, kind, temporary) => {
    const { port, client } = await openPort()
    const { id } = port.createRun()
    port.fail({ match: ({ path }) => path.includes(id), status, body: body as object, times: 9 })
    const error = await failure(client.run(id).update({ conclusion: 'success' }))
    expect(error).toMatchObject({ kind, status, temporary })
  },
)
