import { Hono } from 'hono'
import { expect, onTestFinished, test } from 'vitest'
import { readRelayAnswer, requestJson } from '../../action/report/relay-request.ts'
import { createFetch } from '../../action/runner/fetch.ts'
import { PortError } from '../../port/client/port-client.ts'
import { type StandInEnv, startStandIn } from '../support/http-server.ts'

test.each([
  [500, 'unreachable', true],
  [429, 'unreachable', true],
  [408, 'unreachable', true],
  [401, 'credentials', false],
  [403, 'credentials', false],
  [413, 'refused', false],
  [409, 'refused', false],
])('the answer %i of the relay is %s', (status, kind, temporary) => {
  const answer = () => readRelayAnswer('POST /report', { status, body: { detail: 5 }, retryAt: 9 })
  const error = (() => {
    try {
      return answer()
    } catch (thrown) {
      return thrown
    }
  })()
  expect(error).toBeInstanceOf(PortError)
  expect(error).toMatchObject({ kind, temporary, status, retryAt: temporary ? 9 : null })
  expect((error as Error).message).toBe(`the relay answered ${status} to POST /report`)
})

test.each([
  ['7', 7_000],
  ['0.2', 1_000],
  ['0', null],
  ['-1', null],
  ['Thu, 01 Jan 1970 00:00:30 GMT', 30_000],
])('a relay that says Retry-After: %s is not asked again sooner than in a second', async (after, retryAt) => {
  const server = await startStandIn(new Hono<StandInEnv>(), () => ({ body: {} }))
  onTestFinished(() => server.close())
  server.fail({ status: 503, headers: { 'retry-after': after } })
  const request = { method: 'GET', url: server.origin, token: 't' }
  const answer = await requestJson('The relay', request, { fetch: createFetch(), clock: () => 0 })
  expect(answer.retryAt).toBe(retryAt)
})

test('an answer that is no object counts as an empty one', async () => {
  const server = await startStandIn(new Hono<StandInEnv>(), () => ({ body: {} }))
  onTestFinished(() => server.close())
  const tools = { fetch: createFetch(), clock: () => 0 }
  const ask = () =>
    requestJson('The relay', { method: 'GET', url: `${server.origin}/idtoken`, token: 't' }, tools)
  for (const body of ['<html>', '[1]']) {
    server.fail({ status: 200, body })
    expect(await ask()).toEqual({ status: 200, body: {}, retryAt: null })
  }
})

test.each([
  [new DOMException('x', 'TimeoutError'), 'it took too long'],
  [new DOMException('x', 'AbortError'), 'it took too long'],
  [Object.assign(new Error('x'), { code: 'ECONNRESET' }), 'ECONNRESET'],
  [new Error('odd'), 'odd'],
])('no answer (%s) is an error that names the address and keeps its cause', async (cause, reason) => {
  const asking = requestJson(
    'The relay',
    { method: 'GET', url: 'https://relay.acme.example/x', token: 't' },
    { fetch: () => Promise.reject(cause), clock: () => 0 },
  )
  await expect(asking).rejects.toMatchObject({
    kind: 'unreachable',
    cause,
    message: `The relay did not answer at relay.acme.example: ${reason}. Check whether this machine reaches it (proxy, firewall).`,
  })
})
