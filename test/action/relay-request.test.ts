import nock from 'nock'
import { afterEach, expect, test } from 'vitest'
import { readRelayAnswer, requestJson } from '../../action/report/relay-request.ts'
import { createFetch } from '../../action/runner/fetch.ts'

const RELAY = 'https://relay.acme.example'
const request = { method: 'POST', url: `${RELAY}/report`, token: 't', body: {} }
const ask = () => requestJson('The relay', request, { fetch: createFetch(), clock: () => 0 })
const report = async () => readRelayAnswer('POST /report', await ask())

afterEach(() => nock.cleanAll())

test.each([
  [500, 'unreachable', true],
  [429, 'unreachable', true],
  [408, 'unreachable', true],
  [401, 'credentials', false],
  [403, 'credentials', false],
  [413, 'refused', false],
  [409, 'refused', false],
])('the answer %i of the relay is %s', async (status, kind, temporary) => {
  nock(RELAY, { reqheaders: { authorization: 'Bearer t' } })
    .post('/report')
    .reply(status, { detail: 5 }, { 'retry-after': '7' })
  await expect(report()).rejects.toMatchObject({
    ...{ kind, temporary, status, retryAt: temporary ? 7_000 : null },
    message: `the relay answered ${status} to POST /report`,
  })
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
  expect(await ask()).toEqual({ status: 200, body: {}, retryAt: null })
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
