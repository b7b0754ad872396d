import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { startGitHubApi } from '../../simulator/github/github.ts'
import type { PortPage } from '../../simulator/port/page.ts'
import { startPortApi } from '../../simulator/port/port.ts'

const long = 'x'.repeat(65_535 - '{"a":""}'.length)
const many = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, index) => [`k${index}`, index]))
const event = { event_type: 'deploy', client_payload: {} }
const manual = { ref: 'main' }

/** Columns: the body of a dispatch, and the response. The relay's tests exercise the other refusals. */
const LIMITS_OF_GITHUB: [body: object, status: number, message?: string][] = [
  [{ ...event, client_payload: many(10) }, 204],
  [{ ...event, client_payload: many(11) }, 422, 'No more than 10 properties are allowed; 11 were supplied.'],
  [{ ...event, client_payload: { a: long.slice(1) } }, 204],
  [{ ...event, client_payload: { a: long } }, 422, 'client_payload is too large.'],
  [{ ...event, event_type: 'e'.repeat(101) }, 422, 'Only 100 characters are allowed; 101 were supplied.'],
  [{ ...manual, inputs: many(26) }, 422, 'No more than 25 properties are allowed; 26 were supplied.'],
  [{ ...manual, inputs: { service: long } }, 422, 'inputs are too large.'],
]

test("the fake GitHub has GitHub's limits", async () => {
  const { url, token, close, addRepository } = await startGitHubApi()
  onTestFinished(() => close())
  const inputs = { service: { required: true } }
  addRepository('acme/shop', {
    workflows: [{ path: '.github/workflows/a.yml', name: 'a', eventTypes: ['deploy'], dispatch: { inputs } }],
  })
  for (const [body, status, message = ''] of LIMITS_OF_GITHUB) {
    const route = 'ref' in body ? 'actions/workflows/a.yml/dispatches' : 'dispatches'
    const init = { method: 'POST', headers: { authorization: `Bearer ${token}` }, body: JSON.stringify(body) }
    const response = await fetch(`${url}/repos/acme/shop/${route}`, init)
    expect([response.status, await response.text()]).toEqual([status, expect.stringContaining(message)])
  }
})

test('a page of another machine can neither start a run in the fake Port nor read its pages', async () => {
  const port = await startPortApi()
  onTestFinished(() => port.close())
  const trigger = { operation: 'CREATE', userInputs: { properties: {} } }
  const given = { identifier: 'deploy', title: 'Deploy', trigger, invocationMethod: {} }
  const action = given as unknown as PortPage['buttons'][number]['action']
  port.openPage({ buttons: [{ action, inputs: {} }], relay: () => 'http://127.0.0.1:1' })
  const send = async (method: string, path: string, headers: Record<string, string>) => {
    const sent = request(port.url + path, { method, headers }).end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    response.resume()
    return response.statusCode
  }
  const rows: [headers: Record<string, string>, get: number, post: number][] = [
    [{}, 200, 303],
    [{ origin: port.url, 'sec-fetch-site': 'same-origin' }, 200, 303],
    [{ origin: 'null', 'sec-fetch-site': 'same-site' }, 200, 303],
    [{ 'sec-fetch-site': 'cross-site' }, 200, 403],
    [{ origin: 'null', 'sec-fetch-site': 'cross-site' }, 200, 403],
    [{ origin: 'https://evil.com' }, 200, 403],
    [{ host: `evil.com:${new URL(port.url).port}` }, 403, 403],
  ]
  for (const [headers, ...statuses] of rows)
    expect([await send('GET', '/', headers), await send('POST', '/run/0', headers)]).toEqual(statuses)
})
