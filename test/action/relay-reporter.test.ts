import { Hono, type MiddlewareHandler } from 'hono'
import { expect, onTestFinished, test } from 'vitest'
import { createRelayReporter } from '../../action/reporter/relay.ts'
import { createFetch } from '../../action/runner/fetch.ts'
import type { RelayAccess } from '../../action/runner/relay-access.ts'
import type { JsonObject } from '../../port/types.ts'
import { PROBLEM_TYPE, Problem, sendProblem } from '../../relay/http/problem.ts'
import { type FakeServerEnv, startFakeServer } from '../../tools/simulator/http-server.ts'

const STARTED: JsonObject = {
  token: 'report-token',
  tells: true,
  run: { status: 'in_progress', ended: false, synchronized: false, external_run_id: null },
  payload: null,
  secrets: { password: 'clear' },
}

/** Of the token `expired`, a relay says so. */
const expire: MiddlewareHandler = async (c, next) =>
  c.req.header('authorization') === 'Bearer expired'
    ? sendProblem(c, new Problem(401, 'It has expired.'))
    : next()

/** What speaks as a relay and as the endpoint of the runner, and can be made to fail. */
async function createRelay({ started = STARTED } = {}) {
  const app = new Hono<FakeServerEnv>()
  app.get('/idtoken', c => c.json({ value: `proof for ${c.req.query('audience')}` }))
  app.post('/report/start', c => c.json(started, started.duplicate ? 409 : 200))
  app.use('/report/*', expire)
  app.post('/report/inputs', c => c.json({ payload: { inputs: { a: 1 } }, secrets: { password: 'again' } }))
  app.post('/report', expire, async c => {
    const renewed = c.req.header('authorization') === 'Bearer half over' ? { token: 'renewed' } : {}
    return c.json({ delivery: 'd_1', number: (await c.req.json()).number, ...renewed }, 202)
  })
  const server = await startFakeServer(app, status => ({
    body: { status, detail: `Trouble ${status}.` },
    headers: PROBLEM_TYPE,
  }))
  onTestFinished(() => server.close())
  const access: RelayAccess = {
    url: server.origin,
    delivery: 'd_1',
    complete: false,
    ends: true,
    idToken: { url: `${server.origin}/idtoken?api-version=2.0`, requestToken: 'request-token' },
    token: null,
  }
  const masks: string[] = []
  const waits: number[] = []
  let passed = 0
  const tools = {
    core: { setSecret: (secret: string) => void masks.push(secret) },
    fetch: createFetch(),
    clock: () => passed,
    sleep: async (ms: number) => {
      waits.push(ms)
      passed += ms
    },
  }
  const report = (more: Partial<RelayAccess> = {}, options: { budgetMs?: number; ending?: boolean } = {}) =>
    createRelayReporter({ ...access, ...more }, tools, { budgetMs: 60_000, ...options })
  return { ...server, access, masks, waits, tools, report }
}

const line = (message: string) => ({ level: 'INFO' as const, message })
type Message = { number: number; sender: string; reports: JsonObject[]; ending: boolean }
const messages = ({ requests }: { requests: { path: string; body: unknown }[] }) =>
  requests.filter(({ path }) => path === '/report').map(({ body }) => body as Message)

test('a run proves itself once, with a token for exactly the relay, and masks all that it is given', async () => {
  const relay = await createRelay()
  const reporter = relay.report()
  expect(reporter.access()).toEqual(relay.access)
  await reporter.prepare()
  await Promise.all([reporter.prepare(), reporter.start()])
  expect(await reporter.read()).toMatchObject({ status: 'in_progress', ended: false, properties: null })
  const asked = relay.requests.map(({ method, path, headers }) => [method, path, headers.authorization])
  const proof = `proof for ${relay.origin}`
  expect(asked).toEqual([
    ['GET', `/idtoken?api-version=2.0&audience=${encodeURIComponent(relay.origin)}`, 'Bearer request-token'],
    ['POST', '/report/start', `Bearer ${proof}`],
  ])
  expect(relay.requests[1]!.body).toEqual({ delivery: 'd_1', complete: false, ends: true })
  expect(relay.masks).toEqual(['request-token', proof, 'report-token'])
  expect(reporter.access()).toMatchObject({ idToken: null, token: 'report-token' })
})

test('what is reported together goes in one message, and what is too large for one in several, in order', async () => {
  const relay = await createRelay()
  const reporter = relay.report({ token: 'report-token', idToken: null }, { ending: true })
  await reporter.prepare()
  await Promise.all([
    reporter.update({ statusLabel: 'Running' }),
    reporter.log([line('a')]),
    reporter.upsertEntity('service', { identifier: 'shop' }),
  ])
  const many = Array.from({ length: 90 }, (_, index) => line(`${index} ${'x'.repeat(7_000)}`))
  await reporter.log(many)
  await reporter.log([])
  const [first, ...rest] = messages(relay)
  expect(first).toEqual({
    delivery: 'd_1',
    sender: expect.stringMatching(/^[\da-f-]{36}$/),
    number: 1,
    ending: true,
    reports: [
      { update: { statusLabel: 'Running' } },
      { log: [line('a')] },
      { entity: { blueprint: 'service', properties: { identifier: 'shop' } } },
    ],
  })
  expect(rest.map(({ number, sender }) => [number, sender])).toEqual(
    rest.map((_, index) => [index + 2, first!.sender]),
  )
  expect(rest.length).toBeGreaterThan(2)
  for (const message of rest) expect(Buffer.byteLength(JSON.stringify(message))).toBeLessThan(256 * 1024)
  expect(rest.flatMap(({ reports }) => reports.flatMap(report => report.log))).toEqual(many)
  expect(relay.requests.map(({ path }) => path)).not.toContain('/report/start')
})

test('a message whose answer was lost is sent again under its number, after the relay is asked to wait', async () => {
  const relay = await createRelay()
  const reporter = relay.report()
  relay.fail({ match: ({ path }) => path === '/report', cut: 'after' })
  relay.fail({ match: ({ path }) => path === '/report', status: 503, headers: { 'retry-after': '7' } })
  await reporter.log([line('a')])
  const [first, ...again] = messages(relay)
  expect(first!.number).toBe(1)
  expect(again).toEqual([first, first])
  expect(relay.waits).toEqual([1_000, 7_000])
})

test('one report that the relay refuses does not cost the conclusion in the same message', async () => {
  const relay = await createRelay()
  const reporter = relay.report({ token: 'report-token' })
  const isBad = ({ body }: { body: unknown }) => JSON.stringify(body).includes('"bad"')
  relay.fail({ match: isBad, status: 400, times: Number.POSITIVE_INFINITY })
  const ends = await Promise.allSettled([
    reporter.deleteEntity('service', 'bad'),
    reporter.update({ conclusion: 'failure', statusLabel: 'Failed' }),
  ])
  expect(ends.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
  expect(messages(relay).at(-1)!.reports).toEqual([
    { update: { conclusion: 'failure', statusLabel: 'Failed' } },
  ])
})

test.each([400, 413])(
  'a conclusion arrives without the summary that the relay refuses with %i',
  async status => {
    const relay = await createRelay()
    const reporter = relay.report({ token: 'report-token' })
    const hasSummary = ({ body }: { body: unknown }) => JSON.stringify(body).includes('"summary"')
    relay.fail({ match: hasSummary, status, times: Number.POSITIVE_INFINITY })
    await reporter.update({ conclusion: 'failure', statusLabel: 'Failed', summary: 'x'.repeat(300_000) })
    expect(messages(relay).at(-1)!.reports).toEqual([{ update: { conclusion: 'failure' } }])
    // Only what ends the run is sent again with less.
    await expect(reporter.update({ statusLabel: 'a', summary: 'x' })).rejects.toMatchObject({ status })
  },
)

test('without a proof there is no report, and the error names the permission', async () => {
  const relay = await createRelay()
  const hint = 'Give the job "permissions: id-token: write", or set port-client-id and port-client-secret.'
  for (const status of [401, 403, 404]) {
    relay.fail({ status })
    await expect(relay.report().start()).rejects.toMatchObject({
      kind: 'credentials',
      message: `GitHub answered ${status} to the request for an OIDC token. ${hint}`,
    })
  }
  expect(relay.waits).toEqual([])
  await expect(relay.report({ idToken: null }).log([line('a')])).rejects.toMatchObject({
    kind: 'credentials',
    message: `the job may not have an OIDC token. ${hint}`,
  })
  const reporter = relay.report({ idToken: null })
  await expect(reporter.prepare()).resolves.toBeUndefined()
  await expect(reporter.read()).rejects.toThrow(hint)
})

test.each<[number, Record<string, string>, JsonObject | string]>([
  [429, { 'retry-after': '3' }, {}],
  [503, { 'retry-after': '3' }, {}],
  // Pages of a proxy.
  [200, {}, '<html>Please log in</html>'],
  [302, { location: 'https://proxy.test/login' }, ''],
])(
  '%i from where OIDC tokens come is no lack of a permission, and asked again',
  async (status, headers, body) => {
    const relay = await createRelay()
    const failure = {
      match: ({ path }: { path: string }) => path.startsWith('/idtoken'),
      status,
      headers,
      body,
    }
    relay.fail(failure)
    await expect(relay.report().start()).resolves.toMatchObject({ duplicate: false })
    expect(relay.waits).toEqual([headers['retry-after'] ? 3_000 : 1_000])

    relay.fail({ ...failure, times: Number.POSITIVE_INFINITY })
    await expect(relay.report().start()).rejects.toMatchObject({
      kind: 'unreachable',
      status,
      message:
        `GitHub answered ${status} to the request for an OIDC token, and not with one: it has trouble of its own, ` +
        'or a proxy on the way answers.',
    })
  },
)

test('too fast is waited for; beyond the quota lines are refused, and what else was in the message goes alone', async () => {
  const relay = await createRelay()
  const reporter = relay.report({ token: 'report-token' })
  relay.fail({ match: ({ path }) => path === '/report', status: 429, headers: { 'retry-after': '7' } })
  await reporter.log([line('a')])
  expect(relay.waits).toEqual([7_000])
  const hasLog = ({ body }: { body: unknown }) => JSON.stringify(body).includes('"log"')
  relay.fail({ match: hasLog, status: 413, times: Number.POSITIVE_INFINITY })
  const ends = await Promise.allSettled([
    reporter.log([line('b')]),
    reporter.update({ conclusion: 'success' }),
    reporter.update({ statusLabel: 'c' }),
  ])
  expect(ends.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled'])
  expect(ends[0]).toMatchObject({ reason: { kind: 'refused', status: 413 } })
  expect(
    messages(relay)
      .slice(2)
      .map(({ reports }) => reports),
  ).toEqual([
    [{ log: [line('b')] }, { update: { conclusion: 'success' } }, { update: { statusLabel: 'c' } }],
    [{ log: [line('b')] }],
    [{ update: { conclusion: 'success' } }],
    [{ update: { statusLabel: 'c' } }],
  ])
})

test('a start that failed can be tried again', async () => {
  const relay = await createRelay()
  const reporter = relay.report()
  relay.fail({ match: ({ path }) => path === '/report/start', status: 403 })
  await expect(reporter.start()).rejects.toMatchObject({ kind: 'credentials', status: 403 })
  await expect(reporter.start()).resolves.toMatchObject({ reports: true, secrets: { password: 'clear' } })
})

test('another run has the delivery: its id is given, and no report goes', async () => {
  const relay = await createRelay({ started: { duplicate: true, github_run_id: 4711 } })
  const reporter = relay.report()
  expect(await reporter.start()).toMatchObject({
    duplicate: true,
    run: { externalRunId: '4711' },
    secrets: {},
  })
  await expect(reporter.log([line('a')])).rejects.toThrow('another workflow run reports for this delivery.')
  expect(messages(relay)).toEqual([])
})

test.each([
  ['/report/start', { hello: 'world' }],
  ['/report/start', { token: 't' }],
  ['/report/start', '<html>Please log in</html>'],
  ['/report/inputs', '<html>Please log in</html>'],
  ['/report', '<html>Please log in</html>'],
  ['/report', ''],
  ['/report', { delivery: 'd_1', number: 7 }],
])(
  'something else than the relay that answers POST %s with %j is named as such, and asked again',
  async (path, body) => {
    const relay = await createRelay()
    const token = path === '/report/start' ? null : 'report-token'
    const ask = () => {
      const reporter = relay.report({ token })
      return path === '/report' ? reporter.log([line('a')]) : reporter.inputs()
    }
    const there = relay.fail({
      match: each => each.path === path,
      status: 200,
      body,
      times: Number.POSITIVE_INFINITY,
    })
    await expect(ask()).rejects.toMatchObject({
      kind: 'unreachable',
      message: `what answered 200 to POST ${relay.origin}${path} is not the relay: check RELAY_PUBLIC_URL of the relay, and the proxy on the way.`,
    })
    expect(relay.waits).toEqual([1_000, 2_000, 4_000, 8_000])
    there()
    await expect(ask()).resolves.not.toThrow()
  },
)

test('once the delivery has finished, log lines arrive without the entity that was in their message', async () => {
  const relay = await createRelay()
  const reporter = relay.report({ token: 'report-token' })
  relay.fail({
    match: ({ body }) => JSON.stringify(body).includes('"entity"'),
    status: 410,
    times: Number.POSITIVE_INFINITY,
  })
  const ends = await Promise.allSettled([reporter.log([line('a')]), reporter.deleteEntity('service', 'b')])
  expect(ends).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected', reason: { kind: 'ended' } }])
  expect(messages(relay).at(-2)!.reports).toEqual([{ log: [line('a')] }])
})

test('inputs come with the start, or by the token of an earlier process', async () => {
  const relay = await createRelay()
  expect(await relay.report().inputs()).toMatchObject({ payload: null, secrets: { password: 'clear' } })
  expect(await relay.report({ token: 'earlier', complete: true }).inputs()).toEqual({
    payload: { inputs: { a: 1 } },
    secrets: { password: 'again' },
  })
  expect(relay.requests.at(-1)).toMatchObject({
    path: '/report/inputs',
    body: { delivery: 'd_1', complete: true },
    headers: { authorization: 'Bearer earlier' },
  })
})

test('a token that has expired is followed by another proof, and one that the relay renews is used from then on', async () => {
  const relay = await createRelay()
  const reporter = relay.report({ token: 'expired' })
  await reporter.log([line('late')])
  const bearers = () =>
    relay.requests.filter(({ path }) => path === '/report').map(({ headers }) => headers.authorization)
  expect(bearers()).toEqual(['Bearer expired', `Bearer ${STARTED.token}`])
  expect(await relay.report({ token: 'expired' }).inputs()).toMatchObject({ secrets: {} })
  await expect(relay.report({ token: 'expired', idToken: null }).log([line('lost')])).rejects.toThrow('401')

  relay.clearRequests()
  const renewed = relay.report({ token: 'half over' })
  await renewed.log([line('one')])
  await renewed.log([line('two')])
  expect(bearers()).toEqual(['Bearer half over', 'Bearer renewed'])
  expect(renewed.access().token).toBe('renewed')
  expect(relay.masks).toContain('renewed')
})
