import { describe, expect, test } from 'vitest'
import { logBatches } from '../port/client/messages.ts'
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

  test('is updated with the given fields only', async () => {
    const { port, client } = await openPort()
    const { id } = port.createRun()
    await client.run(id).update({ statusLabel: 'Building', link: ['https://a', 'https://b'] })
    await client.run(id).update({ summary: '**Done**', externalRunId: '7', conclusion: 'success' })
    expect(port.requests.slice(1).map(({ body }) => body)).toEqual([
      { statusLabel: 'Building', link: ['https://a', 'https://b'] },
      { status: 'SUCCESS', summary: '**Done**', externalRunId: '7' },
    ])
  })

  test('finishes as FAILURE if canceled, with the label Cancelled unless another label is given', async () => {
    const { port, client } = await openPort()
    for (const statusLabel of [undefined, 'Runner lost']) {
      const { id } = port.createRun()
      await client.run(id).update({ conclusion: 'cancelled', statusLabel })
      expect(port.run(id)).toMatchObject({ status: 'FAILURE', statusLabel: statusLabel ?? 'Cancelled' })
    }
  })

  test('finishes even if Port rejects optional fields; the fields are omitted one by one, the summary last', async () => {
    const { port, client } = await openPort()
    const refuse = (name: string) =>
      port.fail({
        match: ({ method, body }) => method === 'PATCH' && name in (body as object),
        times: Number.POSITIVE_INFINITY,
        status: 422,
        body: { ok: false, error: 'invalid_request', message: `${name} will not do` },
      })
    const finish = async () => {
      const { id } = port.createRun()
      port.clearRequests()
      const update = { summary: 'Done', statusLabel: 'Done', link: ['https://a'] }
      await client.run(id).update({ conclusion: 'success', ...update })
      return { run: port.run(id), tries: calls(port).filter(call => call.startsWith('PATCH')).length }
    }
    const acceptLinks = refuse('link')
    const first = await finish()
    expect(first).toMatchObject({ run: { status: 'SUCCESS', summary: 'Done' }, tries: 2 })
    expect(first.run.link).toBeFalsy()
    refuse('summary')
    expect(await finish()).toMatchObject({ run: { status: 'SUCCESS' }, tries: 3 })
    acceptLinks()
    refuse('status')
    const { id } = port.createRun()
    const error = await failure(client.run(id).update({ conclusion: 'failure', summary: 'x' }))
    expect(error.message).toContain('status will not do')
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

  test('sends an update without a conclusion only once if Port rejects it', async () => {
    const { port, client } = await openPort()
    const { id } = port.createRun()
    port.fail({ match: ({ method }) => method === 'PATCH', times: 9, status: 422 })
    await failure(client.run(id).update({ statusLabel: 'x', summary: 'y' }))
    expect(calls(port).filter(call => call.startsWith('PATCH'))).toHaveLength(1)
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

  test('gets the lines of one call as one message', async () => {
    const { port, client } = await openPort()
    const { id } = port.createRun()
    await client.run(id).log([info('one'), { level: 'ERROR', message: 'two\nthree' }])
    expect(port.run(id).logs.map(log => log.message)).toEqual(['one\ntwo\nthree'])
  })
})

describe('a node run', () => {
  test('gets the link, label, and summary in its output, and finishes with a result', async () => {
    const { port, client } = await openPort()
    const { id } = port.createNodeRun()
    const run = client.run(id)
    const link = ['https://github.com/acme/shop/actions/runs/42']
    const logs = [info('one'), { level: 'ERROR' as const, message: 'two' }]
    await run.update({ statusLabel: 'Running', link, externalRunId: '42' })
    await run.log(logs)
    await run.update({ conclusion: 'cancelled', summary: 'Stopped', link, externalRunId: '42' })
    const output = { workflowRunUrl: link[0], workflowRunId: 42 }
    const both = { links: link, externalRunId: '42' }
    expect(port.requests.slice(1).map(({ body }) => body)).toEqual([
      { status: 'IN_PROGRESS', output: { ...output, statusLabel: 'Running' }, ...both },
      { logs },
      { status: 'COMPLETED', result: 'CANCELLED', output: { ...output, summary: 'Stopped' }, ...both },
    ])
  })

  test.each([
    ['failure', 'FAILED'],
    ['success', 'SUCCESS'],
  ] as const)(
    'finishes after a %s as %s, and keeps a workflow run ID that is not a number',
    async (conclusion, result) => {
      const { port, client } = await openPort()
      const { id } = port.createNodeRun()
      await client.run(id).update({ conclusion, externalRunId: 'build-7' })
      const output = { workflowRunId: 'build-7' }
      expect(port.nodeRun(id)).toMatchObject({ status: 'COMPLETED', result, output })
    },
  )

  test('cannot be read, so reading sends no request', async () => {
    const { port, client } = await openPort()
    expect(await client.run('wfnr_1').read()).toMatchObject({ status: 'unknown', finished: false })
    expect(port.requests).toEqual([])
  })
})

describe('the token', () => {
  test('is requested once for simultaneous calls, and then cached', async () => {
    const { port, client } = await openPort()
    const { id } = port.createRun()
    await Promise.all([1, 2, 3].map(() => client.run(id).read()))
    await client.run(id).read()
    expect(calls(port).filter(call => call.startsWith('POST'))).toEqual(['POST /v1/auth/access_token'])
  })

  test('is renewed a minute before it expires', async () => {
    let now = Date.now()
    const { port, client } = await openPort({ expiresIn: 10_800 }, { clock: () => now })
    const { id } = port.createRun()
    await client.authorize()
    now += 10_700_000
    await client.run(id).read()
    expect(port.requests).toHaveLength(2)
    now += 60_000
    await Promise.all([client.run(id).read(), client.run(id).read()])
    const later = calls(port).slice(2)
    expect(later.filter(call => call.startsWith('POST'))).toHaveLength(1)
  })

  test('is requested again once after a 401, and passed to a callback for masking', async () => {
    const tokens: string[] = []
    const { port, client } = await openPort({}, { onToken: token => tokens.push(token) })
    const { id } = port.createRun()
    await client.authorize()
    port.expireTokens()
    await Promise.all([client.run(id).read(), client.run(id).read()])
    expect(new Set(tokens).size).toBe(2)
    expect(tokens).toHaveLength(2)
  })

  test('causes a credentials error if Port also rejects the new token, and no third request is sent', async () => {
    const { port, client } = await openPort()
    port.fail({ match: ({ method }) => method === 'GET', status: 401, times: 9 })
    const error = await failure(client.run('r_1').read())
    expect(error).toMatchObject({ kind: 'credentials', status: 401, temporary: false })
    expect(calls(port).filter(call => call.startsWith('GET'))).toHaveLength(2)
  })

  test('is requested again by the next call if the first request failed', async () => {
    const { port, client } = await openPort()
    const { id } = port.createRun()
    port.fail({ status: 503 })
    expect((await failure(client.run(id).read())).kind).toBe('unreachable')
    expect(await client.run(id).read()).toMatchObject({ status: 'in_progress' })
  })
})
