import nock from 'nock'
import { afterEach, expect, test } from 'vitest'
import { QuotaError, readRelayResponse, requestJson } from '../../action/reporter/relay-request.ts'
import { createFetch } from '../../action/runner/fetch.ts'

const RELAY = 'https://relay.acme.example'
const PROBLEM = { 'content-type': 'application/problem+json' }
const request = { method: 'POST', url: `${RELAY}/report`, token: 't', body: {} }
const ask = () => requestJson('The relay', request, { fetch: createFetch(), clock: () => 0 })
const report = async () => readRelayResponse('POST /report', await ask())

afterEach(() => nock.cleanAll())

test.each([
  [500, 'unreachable', true],
  [429, 'unreachable', true],
  [408, 'unreachable', true],
  [401, 'credentials', false],
  [403, 'credentials', false],
  [404, 'refused', false],
  [409, 'refused', false],
  [410, 'ended', false],
  [413, 'refused', false],
])('the answer %i of the relay is %s', async (status, kind, temporary) => {
  nock(RELAY, { reqheaders: { authorization: 'Bearer t' } })
    .post('/report')
    .reply(status, { status, detail: 5 }, { 'retry-after': '7', ...PROBLEM })
  await expect(report()).rejects.toMatchObject({
    ...{ kind, temporary, status, retryAt: temporary ? 7_000 : null },
    message: `the relay answered ${status} to POST /report`,
  })
})

test.each<[number, string | object, Record<string, string>]>([
  [404, '<html>no such host</html>', { 'content-type': 'text/html' }],
  [403, { message: 'Forbidden' }, { 'content-type': 'application/json' }],
  [403, { status: 403, detail: 'Blocked.' }, { 'content-type': 'application/json' }],
  [401, { status: 404 }, PROBLEM],
  [410, '', {}],
])(
  'the page %i of a gateway in front of the relay says nothing about the report',
  async (status, ...page) => {
    nock(RELAY)
      .post('/report')
      .reply(status, ...page)
    await expect(report()).rejects.toMatchObject({
      ...{ kind: 'unreachable', temporary: true, status },
      message: `what answered ${status} to POST /report is not the relay: check RELAY_PUBLIC_URL of the relay, and the proxy on the way.`,
    })
  },
)

test('that a body is too large for a gateway is refused, and no quota', async () => {
  nock(RELAY).post('/report').reply(413, '<html>')
  const error = await report().catch(error => error)
  expect(error).toMatchObject({ kind: 'refused', status: 413 })
  expect(error).not.toBeInstanceOf(QuotaError)
})

test.each([
  ['https://relay.acme.example:8443/report?x=1', 'it redirects to https://relay.acme.example:8443.'],
  ['/login', `it redirects to ${RELAY}.`],
  ['http://[', 'check RELAY_PUBLIC_URL'],
])('a redirect to %s is named by its origin, and the variable to correct', async (location, sentence) => {
  nock(RELAY).post('/report').reply(301, '', { location })
  const error = await report().catch(error => error)
  expect(error).toMatchObject({ kind: 'unreachable', status: 301 })
  expect(error.message).toContain(sentence)
  expect(error.message).toContain('RELAY_PUBLIC_URL')
})

test.each([
  ['7', 7_000],
  ['0.2', 1_000],
  ['0', null],
  ['-1', null],
  ['Thu, 01 Jan 1970 00:00:30 GMT', 30_000],
])('a relay that says Retry-After: %s is not asked again sooner than in a second', async (after, retryAt) => {
  nock(RELAY).post('/report').reply(503, {}, { 'retry-after': after })
  expect((await ask()).retryAt).toBe(retryAt)
})

test.each(['<html>', '[1]'])('the answer %s, which is no object, counts as an empty one', async body => {
  nock(RELAY).post('/report').reply(200, body)
  expect(await ask()).toMatchObject({ status: 200, body: {}, isProblem: false, retryAt: null })
})

test.each([
  [new DOMException('x', 'TimeoutError'), 'no answer in time'],
  [new DOMException('x', 'AbortError'), 'no answer in time'],
  [Object.assign(new Error('x'), { code: 'ECONNRESET' }), 'ECONNRESET'],
  [new Error('odd'), 'odd'],
])('no answer (%s) is an error that names the address', async (cause, reason) => {
  nock(RELAY).post('/report').replyWithError(cause)
  await expect(ask()).rejects.toMatchObject({
    kind: 'unreachable',
    message: `The relay did not answer at relay.acme.example: ${reason}. Check whether this machine reaches it (proxy, firewall).`,
  })
})
