import { expect, test } from 'vitest'
import { createRelayReporter } from '../../action/reporter/relay.ts'
import { QuotaError } from '../../action/reporter/reporter.ts'
import { createFetch, type RelayAccess } from '../../action/runner/runner.ts'
import type { JsonObject } from '../../port/types.ts'
import { PROBLEM_TYPE } from '../../relay/http/problem.ts'
import { withoutJitter } from '../support/without-jitter.ts'
import { messagesTo, openFakeRelay } from './open-fake-relay.ts'

withoutJitter()

async function createRelay() {
  const server = await openFakeRelay()
  const access: RelayAccess = {
    url: server.origin,
    delivery: 'd_1',
    complete: false,
    finishes: true,
    required: false,
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
  const report = (
    more: Partial<RelayAccess> = {},
    options: { budgetMs?: number; finishing?: boolean } = {},
  ) => createRelayReporter({ ...access, ...more }, tools, { budgetMs: 60_000, ...options })
  return { ...server, access, masks, waits, report }
}

const contains =
  (text: string) =>
  ({ body }: { body: unknown }) =>
    JSON.stringify(body).includes(text)
const line = (message: string) => ({ level: 'INFO' as const, message })

test('the action authenticates once with an OIDC token for this relay, and masks every token', async () => {
  const relay = await createRelay()
  const reporter = relay.report()
  expect(reporter.access()).toEqual(relay.access)
  await reporter.prepare()
  await Promise.all([reporter.prepare(), reporter.start()])
  expect(await reporter.read()).toMatchObject({ status: 'in_progress', finished: false, properties: null })
  const asked = relay.requests.map(({ method, path, headers }) => [method, path, headers.authorization])
  const proof = `proof for ${relay.origin}`
  expect(asked).toEqual([
    ['GET', `/idtoken?api-version=2.0&audience=${encodeURIComponent(relay.origin)}`, 'Bearer request-token'],
    ['POST', '/report/start', `Bearer ${proof}`],
  ])
  expect(relay.requests[1]!.body).toEqual({ delivery: 'd_1', complete: false, finishes: true })
  expect(relay.masks).toEqual(['request-token', proof, 'report-token'])
  expect(reporter.access()).toMatchObject({ idToken: null, token: 'report-token' })
})

test('simultaneous reports share one message; reports that are too large for one message are split in order', async () => {
  const relay = await createRelay()
  const reporter = relay.report({ token: 'report-token', idToken: null }, { finishing: true })
  await reporter.prepare()
  await Promise.all([
    reporter.update({ statusLabel: 'Running' }),
    reporter.log([line('a')]),
    reporter.upsertEntity('service', { identifier: 'shop' }),
  ])
  const many = Array.from({ length: 90 }, (_, index) => line(`${index} ${'x'.repeat(7_000)}`))
  await reporter.log(many)
  await reporter.log([])
  const [first, ...rest] = messagesTo(relay)
  const entity = { blueprint: 'service', properties: { identifier: 'shop' } }
  const reports = [{ update: { statusLabel: 'Running' } }, { log: [line('a')] }, { entity }]
  expect(first).toMatchObject({ delivery: 'd_1', number: 1, finishing: true, reports })
  for (const [index, message] of rest.entries())
    expect(message).toMatchObject({ number: index + 2, sender: first!.sender })
  expect(rest.length).toBeGreaterThan(2)
  for (const message of rest) expect(Buffer.byteLength(JSON.stringify(message))).toBeLessThan(256 * 1024)
  expect(rest.flatMap(({ reports }) => reports.flatMap(report => report.log))).toEqual(many)
  expect(relay.requests.map(({ path }) => path)).not.toContain('/report/start')
})

test('a message whose response was lost is sent again with the same number, at the time that the relay sets', async () => {
  const relay = await createRelay()
  const reporter = relay.report()
  relay.fail({ match: ({ path }) => path === '/report', cut: 'after' })
  relay.fail({ match: ({ path }) => path === '/report', status: 503, headers: { 'retry-after': '7' } })
  await reporter.log([line('a')])
  const [first, ...again] = messagesTo(relay)
  expect(first!.number).toBe(1)
  expect(again).toEqual([first, first])
  expect(relay.waits).toEqual([1_000, 7_000])
})

test.each([
  [400, 'refused'],
  [410, 'finished'],
  [413, 'refused'],
])(
  'if the relay refuses a report with %i, the other reports of the message are still sent',
  async (status, kind) => {
    const relay = await createRelay()
    const reporter = relay.report({ token: 'report-token' })
    relay.fail({ match: contains('"bad"'), status, times: Number.POSITIVE_INFINITY })
    const results = await Promise.allSettled([
      reporter.log([line('a')]),
      reporter.deleteEntity('service', 'bad'),
      reporter.update({ conclusion: 'failure' }),
    ])
    const fulfilled = { status: 'fulfilled' }
    expect(results).toMatchObject([fulfilled, { reason: { kind, status } }, fulfilled])
    expect(messagesTo(relay).map(({ reports }) => reports.length)).toEqual([3, 1, 1, 1])
  },
)

test('if the relay refuses the summary, the conclusion is sent without the summary', async () => {
  const relay = await createRelay()
  const reporter = relay.report({ token: 'report-token' })
  relay.fail({ match: contains('"summary"'), status: 413, times: Number.POSITIVE_INFINITY })
  await reporter.update({ conclusion: 'failure', statusLabel: 'Failed', summary: 'x'.repeat(300_000) })
  expect(messagesTo(relay).at(-1)!.reports).toEqual([{ update: { conclusion: 'failure' } }])
})

test('without an OIDC token nothing is reported, and the error names the missing permission', async () => {
  const relay = await createRelay()
  const hint = 'Give the job "permissions: id-token: write", or set port-client-id and port-client-secret.'
  relay.fail({ status: 403 })
  await expect(relay.report().start()).rejects.toMatchObject({
    kind: 'credentials',
    message: `GitHub responded with 403 to the request for an OIDC token. ${hint}`,
  })
  expect(relay.waits).toEqual([])
  await expect(relay.report({ idToken: null }).log([line('a')])).rejects.toMatchObject({
    kind: 'credentials',
    message: `the job has no permission for an OIDC token. ${hint}`,
  })
})

/** Columns: the request, the response of a proxy, and the error. */
test.each<[string, JsonObject | string, string]>([
  [
    '/idtoken',
    '<html>Please log in</html>',
    'GitHub responded with 200 to the request for an OIDC token, but',
  ],
  ['/report/start', { token: 't' }, "didn't come from the relay: check RELAY_PUBLIC_URL of the relay"],
  ['/report/inputs', '<html>Please log in</html>', "didn't come from the relay: check RELAY_PUBLIC_URL"],
  ['/report', { delivery: 'd_1', number: 7 }, "didn't come from the relay: check RELAY_PUBLIC_URL"],
])(
  'if a proxy responds to a request to %s (%j), the request is retried; the error names the cause',
  async (path, body, message) => {
    const relay = await createRelay()
    const ask = () => {
      const reporter = relay.report(
        ['/report/inputs', '/report'].includes(path) ? { token: 'report-token' } : {},
      )
      return path === '/report' ? reporter.log([line('a')]) : reporter.inputs()
    }
    const match = (each: { path: string }) => each.path.split('?')[0] === path
    const there = relay.fail({ match, status: 200, body, times: Number.POSITIVE_INFINITY })
    const error = { kind: 'unreachable', message: expect.stringContaining(message) }
    await expect(ask()).rejects.toMatchObject(error)
    expect(relay.waits).toEqual([1_000, 2_000, 4_000, 8_000])
    there()
    await expect(ask()).resolves.not.toThrow()
  },
)

test('authenticates again if the report token has expired, and uses the tokens that the relay renews', async () => {
  const relay = await createRelay()
  const reporter = relay.report({ token: 'expired' })
  await reporter.log([line('late')])
  const bearers = () =>
    relay.requests.filter(({ path }) => path === '/report').map(({ headers }) => headers.authorization)
  expect(bearers()).toEqual(['Bearer expired', 'Bearer report-token'])
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

test.each<[number, 'unreachable' | 'credentials' | 'refused' | 'finished', boolean]>([
  [500, 'unreachable', true],
  [401, 'credentials', false],
  [404, 'refused', false],
  [410, 'finished', false],
  [413, 'refused', false],
])(
  'a %i counts as %s if the relay sent it, and as unreachable if a gateway sent it (except 413)',
  async (status, kind, temporary) => {
    const relay = await createRelay()
    const reporter = () => relay.report({ token: 'report-token', idToken: null }, { budgetMs: 0 })
    relay.fail({ status, headers: { ...PROBLEM_TYPE, 'retry-after': '7' }, body: { status, detail: 'Why.' } })
    await expect(reporter().log([line('a')])).rejects.toMatchObject({
      ...{ kind, temporary, status, retryAt: temporary ? 7_000 : null },
      message: `the relay responded with ${status} to POST ${relay.origin}/report (Why.)`,
    })
    relay.fail({ status, headers: { 'content-type': 'text/html' }, body: '<html>' })
    const error = await reporter()
      .log([line('a')])
      .catch(reason => reason)
    expect(error.kind).toBe(status === 413 ? 'refused' : 'unreachable')
    expect(error).not.toBeInstanceOf(QuotaError)
  },
)

test('all requests share one budget for waiting, which only a conclusion can exceed', async () => {
  const relay = await createRelay()
  const reporter = relay.report({ token: 'report-token' })
  const later = (seconds: number, times: number) =>
    relay.fail({ status: 429, headers: { 'retry-after': String(seconds) }, times })
  later(25, 3)
  await expect(reporter.log([line('a')])).rejects.toMatchObject({ status: 429 })
  expect(relay.waits).toEqual([25_000, 25_000])
  later(30, 1)
  await reporter.update({ conclusion: 'success' })
  expect(relay.waits).toEqual([25_000, 25_000, 30_000])
})
