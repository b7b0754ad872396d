import { afterEach, describe, expect, test, vi } from 'vitest'
import type { NewDelivery } from '../../relay/delivery/delivery.ts'
import { type Store, StoreBusy } from '../../relay/store/store.ts'
import { fixtureNames, readFixture } from '../support/fixture.ts'
import { openReceiving, type Receiving } from '../support/receiving.ts'
import type { Webhook } from '../support/send.ts'
import { SECRET, sign } from '../support/sign.ts'

afterEach(() => vi.restoreAllMocks())

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const context = (more: object = {}) => ({
  run: { id: 'r_1' },
  action: { identifier: 'deploy_service', blueprint: 'service' },
  trigger: { operation: 'CREATE' },
  inputs: { version: '1.4.2' },
  ...more,
})

/** Returns a refusal's status and detail, and checks that nothing was persisted. */
async function refused(relay: Receiving, response: Awaited<ReturnType<Receiving['post']>>) {
  const { status, body, headers } = response
  expect(headers.get('content-type')).toBe('application/problem+json')
  expect(body).toEqual({ type: 'about:blank', title: expect.any(String), status, detail: expect.any(String) })
  expect(JSON.stringify(body)).not.toContain(SECRET)
  expect(await relay.written()).toEqual([])
  return [status, body.detail]
}

/** Opens the intake with a store that accepts everything. */
async function openAccepting(options: Parameters<typeof openReceiving>[0] = {}) {
  const accepted: NewDelivery[] = []
  const accept: Store['accept'] = async delivery => {
    accepted.push(delivery)
    return { ...delivery, state: 'queued', duplicate: false }
  }
  return { relay: await openReceiving({ ...options, store: { accept } }), accepted }
}

const KNOWN = 'event_type, workflow, ref, wait'
test.each([
  ['?event_typ=deploy', `has the unknown parameter "event_typ": use only ${KNOWN}`],
  ['?event_type=deploy&Wait=dispatch', `has the unknown parameter "Wait": use only ${KNOWN}`],
  ['?__proto__=x', `has the unknown parameter "__proto__": use only ${KNOWN}`],
  ['?event_type=a&event_type=b', 'has the parameter event_type 2 times: keep one'],
  ['?wait=true', 'has wait="true": the only valid value is "dispatch"'],
])('a webhook URL with %s is refused with 422 and an error message', async (query, fault) => {
  const relay = await openReceiving()
  for (const path of ['/webhook', '/webhook/acme/shop']) {
    const response = await relay.post({ path: path + query, body: context() })
    expect([response.status, response.body.detail]).toEqual([422, `The webhook URL ${fault}.`])
  }
  expect(await relay.written()).toEqual([])
  const unsigned = await relay.post({ path: `/webhook${query}`, secret: 'wrong' })
  expect(unsigned.status).toBe(401)
})

describe('an accepted webhook', () => {
  test('is persisted, and the 202 response describes the delivery', async () => {
    const relay = await openReceiving()
    const response = await relay.post({ body: context() })
    expect(response.status).toBe(202)
    expect(response.body).toEqual({
      delivery: expect.stringMatching(UUID),
      state: 'queued',
      run_id: 'r_1',
      repository: 'acme/shop',
      event_type: 'deploy_service',
    })
    const [delivery, ...more] = await relay.written()
    expect(more).toEqual([])
    expect(delivery).toMatchObject({
      ...{ id: response.body.delivery, dedupeKey: 'run:r_1', runId: 'r_1', kind: 'action_run' },
      ...{ action: 'deploy_service', repository: 'acme/shop', eventType: 'deploy_service' },
    })
    const invocation = { inputs: { version: '1.4.2' }, operation: 'CREATE' }
    expect(JSON.parse(delivery!.invocation)).toMatchObject(invocation)
  })

  test.each(fixtureNames)('can have the body of the fixture %s', async name => {
    const relay = await openReceiving()
    const { headers, body } = readFixture(name)
    expect((await relay.post({ headers, body })).status).toBe(202)
  })

  test('can be signed with each secret that is accepted during a rotation', async () => {
    const secrets = ['our-older-secret', 'our-newer-secret']
    const relay = await openReceiving({ env: { PORT_PREVIOUS_SECRETS: secrets.join() } })
    for (const [i, secret] of [SECRET, ...secrets].entries())
      expect((await relay.post({ secret, body: context({ run: { id: `r_${i}` } }) })).status).toBe(202)
  })
})

describe('a repeated delivery', () => {
  test('is recognized by its run ID, even if the body or the repository differs, and gets 200 with the original delivery', async () => {
    const relay = await openReceiving({ env: { RELAY_ALLOWED_REPOSITORIES: 'acme/*' } })
    const first = await relay.post({ body: context() })
    for (const webhook of [
      { body: context({ inputs: { version: 'other' } }) },
      { body: { port_context: { runId: 'r_1' } } },
      { body: { a: 1 }, headers: { RUN_ID: 'r_1' } },
      { body: context(), path: '/webhook/acme/other?event_type=other' },
    ]) {
      const again = await relay.post(webhook)
      expect([again.status, again.body]).toEqual([200, { ...first.body, duplicate: true }])
    }
    expect(await relay.written()).toHaveLength(1)
  })

  test('is recognized by its timestamp and signature if it has no run ID', async () => {
    const relay = await openReceiving()
    const timestamp = String(Math.floor(Date.now() / 1000))
    const first = await relay.post({ body: { a: 1 }, timestamp })
    expect((await relay.post({ body: { a: 1 }, timestamp })).body).toEqual({ ...first.body, duplicate: true })
    expect((await relay.post({ body: { a: 2 }, timestamp })).status).toBe(202)
    expect((await relay.post({ body: { a: 1 }, timestamp: String(Number(timestamp) - 1) })).status).toBe(202)
    expect(await relay.written()).toHaveLength(3)
  })

  // A 200 would leave the Port run of the second header in progress forever: no workflow run belongs to it.
  test('with a different unsigned RUN_ID header starts nothing and is refused with an actionable error', async () => {
    const relay = await openReceiving()
    const timestamp = String(Math.floor(Date.now() / 1000))
    const first = await relay.post({ body: { a: 1 }, timestamp, headers: { RUN_ID: 'r_1' } })
    expect(first.status).toBe(202)
    const replayed = await relay.post({ body: { a: 1 }, timestamp, headers: { RUN_ID: 'r_2' } })
    const detail =
      'A webhook with this signature was received for another run, so this run isn\'t started. Only the RUN_ID header, which isn\'t signed, distinguishes the two webhooks. Add "port_context": { "runId": "{{ .run.id }}" } to the body of the Port action.'
    expect(replayed).toMatchObject({ status: 409, body: { detail } })
    const again = await relay.post({ body: { a: 1 }, timestamp, headers: { RUN_ID: 'r_1' } })
    expect([again.status, again.body]).toEqual([200, { ...first.body, duplicate: true }])
    expect(await relay.written()).toHaveLength(1)
  })

  test('uses the run ID from a RUN_ID header that a proxy duplicated', async () => {
    const relay = await openReceiving()
    const twice = await relay.post({ body: { a: 1 }, headers: { RUN_ID: 'r_1, r_1' } })
    expect(twice.body).toMatchObject({ run_id: 'r_1' })
    const two = await relay.post({ body: { a: 2 }, headers: { RUN_ID: 'r_1, r_2' } })
    expect(two.body).not.toMatchObject({ run_id: 'r_1' })
    expect((await relay.post({ body: context() })).body).toMatchObject({ duplicate: true })
  })
})

describe('a webhook is refused', () => {
  const notJson = 'The body isn\'t JSON in UTF-8: check the "body" of the Port action\'s invocation method.'
  const wrongType =
    'The body must be application/json in UTF-8: remove the Content-Type header from the Port action, or set it to application/json.'
  const unsigned =
    "The signature doesn't match: PORT_CLIENT_SECRET or PORT_PREVIOUS_SECRETS must contain the client secret of the Port organization that sends the webhook, and no proxy may change the body."
  const notTime = 'x-port-timestamp must be a number of seconds or milliseconds since 1970.'
  const missing = (name: string) =>
    `The header ${name} is missing: the relay accepts only Port's webhooks, and a proxy in between must pass this header.`
  const infinite = (at: string) =>
    `The number${at} is larger than 1.8e308, the largest number that JSON parsers can represent: send the number as text.`
  const notEventType = (shown: string) =>
    `${shown} can't be an event type: it must be 1 to 100 characters on one line, and not blank.`
  const tooDeep = "The body is nested more than 90 levels deep: GitHub doesn't accept deeper JSON."
  const forbidden = "acme/other isn't in RELAY_ALLOWED_REPOSITORIES: add it there to allow dispatches to it."
  const compressed = 'The body must not be compressed: Port signs it as plain JSON.'
  const nested = (levels: number) => Buffer.from(`${'['.repeat(levels)}"]["${']'.repeat(levels)}`)
  const keys = (count: number) => ({
    port_payload: Object.fromEntries(Array.from({ length: count / 2 }, (_, n) => [n, ':'])),
    port_context: Object.fromEntries(Array.from({ length: count / 2 - 2 }, (_, n) => [n, '":'])),
  })
  const header = (name: string, value: string | null): Webhook => ({ headers: { [name]: value } })
  const [long, shown] = ['x'.repeat(101), `"${'x'.repeat(60)}…"`]
  const bom = Buffer.from([0xef, 0xbb, 0xbf])

  type Row = [status: number, detail: string, ...webhooks: Webhook[]]
  const notRepository = (repository: string): Row => [
    ...([422, `${JSON.stringify(repository)} isn't a repository: it must be owner/name.`] as const),
    { body: { github: { repository } } },
  ]
  const rows: Row[] = [
    [400, notJson, ...['not json', '{"a":1'].map(text => ({ body: Buffer.from(text) }))],
    [400, notJson, { body: Buffer.from([0x22, 0xff, 0x22]) }, { body: bom }],
    [400, tooDeep, { body: nested(91) }],
    [400, infinite(' at "replicas"'), { body: Buffer.from('{"inputs":{"replicas":1e400}}') }],
    [400, infinite(' at "1"'), { body: Buffer.from('{"a": [1, -1.5E+0309]}') }],
    [400, infinite(' at "a"'), { body: Buffer.from(`{"a":\n${'9'.repeat(310)}}`) }],
    [400, infinite(' at "a"'), { body: Buffer.from(`{"a":1${'0'.repeat(250)}e+99}`) }],
    [400, infinite(''), { body: Buffer.from('1e999') }],
    [401, missing('x-port-timestamp'), ...[null, '', ' '].map(value => header('x-port-timestamp', value))],
    [401, missing('x-port-signature'), ...[null, ''].map(value => header('x-port-signature', value))],
    [401, notTime, ...['yesterday', '-1', '1e9', '1713277889.5', '0x1'].map(timestamp => ({ timestamp }))],
    [401, notTime, { timestamp: '9'.repeat(16) }],
    [401, unsigned, { secret: 'wrong' }],
    [401, unsigned, ...['nonsense', sign('1', '{}')].map(value => header('x-port-signature', value))],
    [403, forbidden, { path: '/webhook/acme/other' }],
    ...['/', '/webhook/', '/webhook/acme', '/webhook/acme/shop/more', '/hook'].map(
      (path): Row => [404, "There is nothing at this address: Port's webhooks go to /webhook.", { path }],
    ),
    [
      ...([415, wrongType] as const),
      ...['text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=utf-16']
        .concat(['application/json; a=b; charset=latin1', 'json', 'application/jsonx'])
        .concat(['multipart/form-data; boundary=application/json'])
        .map(type => header('content-type', type)),
    ],
    [415, compressed, header('content-encoding', 'gzip')],
    [422, 'The body has more than 20000 keys: send fewer, or encode a part as text.', { body: keys(20_002) }],
    ...['shop', 'acme/', '/shop', 'acme/shop/x', '../shop', 'acme/..', 'acme/sh op'].map(notRepository),
    ...['-acme/shop', 'ac.me/shop', 'acme/other\n', ' ', 'acme/secret.GIT'].map(notRepository),
    [
      422,
      `${notEventType(shown)} Change the action's identifier, or add ?event_type= to the webhook URL.`,
      { body: context({ action: { identifier: long } }) },
    ],
    [
      422,
      notEventType(shown),
      { path: `/webhook?event_type=${long}` },
      { body: { github: { event_type: long } } },
    ],
    [422, notEventType('"a\\nb"'), { path: '/webhook?event_type=a%0Ab' }],
  ]

  test('with a status and an actionable message', async () => {
    const relay = await openReceiving()
    for (const [status, detail, ...webhooks] of rows) {
      for (const webhook of webhooks) {
        const reason = JSON.stringify(webhook).slice(0, 200)
        expect(await refused(relay, await relay.post(webhook)), reason).toEqual([status, detail])
      }
    }
  })

  test('only if it is invalid: a webhook exactly at a limit, or with an unusual valid header or method, gets 202', async () => {
    const relay = await openReceiving()
    const types = ['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"']
      .concat(['', 'application/cloudevents+json', 'application/json;', 'application/json;charset=utf8'])
      .concat(['application/json; charset=utf-8; a=b', 'application/json; a="b; charset=utf-16"'])
    for (const webhook of [
      { body: nested(90) },
      { body: keys(20_000) },
      { body: { text: '1e999', number: 1.7e308 } },
      { path: `/webhook?event_type=${'x'.repeat(100)}` },
      ...types.map(type => header('content-type', type)),
      ...['identity', ''].map(plain => header('content-encoding', plain)),
      ...['POST', 'PUT', 'PATCH', 'DELETE'].flatMap(method =>
        ['/webhook', '/webhook/acme/shop'].map(path => ({ method, path })),
      ),
    ])
      expect((await relay.post(webhook)).status, JSON.stringify(webhook).slice(0, 200)).toBe(202)
  })

  test('with 401 if its timestamp (in seconds or milliseconds) is outside RELAY_TOLERANCE', async () => {
    const now = 1_713_277_889_000
    const relay = await openReceiving({ clock: () => now })
    const detail = (word: string) =>
      `The webhook is ${word} than RELAY_TOLERANCE allows (300 s): check this server's clock.`
    const send = (timestamp: number) => relay.post({ timestamp: String(timestamp) })
    for (const [at, word] of [
      [now / 1000 - 301, 'older'],
      [now / 1000 + 301, 'newer'],
      [now - 300_001, 'older'],
      [now + 300_001, 'newer'],
      [0, 'older'],
    ] as const) {
      expect(await refused(relay, await send(at))).toEqual([401, detail(word)])
    }
    for (const at of [now / 1000 - 300, now / 1000 + 300, now - 300_000, now + 300_000]) {
      expect((await send(at)).status).toBe(202)
    }
    const strict = await openReceiving({ env: { RELAY_TOLERANCE: '10s' }, clock: () => now })
    expect((await strict.post({ timestamp: String(now - 10_001) })).body.detail).toContain('(10 s)')
    expect((await strict.post({ timestamp: String(now - 10_000) })).status).toBe(202)
  })

  test.each(['GET', 'OPTIONS'])('with 405 if the method is %s', async method => {
    const relay = await openReceiving()
    const detail =
      'Webhooks from Port must use POST, PUT, PATCH, or DELETE: select one of these methods in the Port action or node.'
    for (const path of ['/webhook', '/webhook/acme/shop']) {
      const response = await relay.request(path, { method })
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST, PUT, PATCH, DELETE'])
      expect(await response.json()).toMatchObject({ detail })
    }
  })

  test('with 413 if it exceeds RELAY_MAX_BODY by a single byte', async () => {
    const relay = await openReceiving({ env: { RELAY_MAX_BODY: '100b' } })
    const body = (length: number) => Buffer.from(JSON.stringify('x'.repeat(length - 2)))
    expect((await relay.post({ body: body(100) })).status).toBe(202)
    await relay.written()
    const expected = [413, 'The body is larger than RELAY_MAX_BODY allows (100 bytes).']
    expect(await refused(relay, await relay.post({ body: body(101) }))).toEqual(expected)
    const declared = await relay.post({ body: body(50), headers: { 'content-length': '101' } })
    expect(await refused(relay, declared)).toEqual(expected)
  })

  const full = new Error('disk full')
  const unpersisted = "a delivery couldn't be persisted, or the database's response was lost"
  test.each([
    [
      full,
      '10',
      "The relay's database (RELAY_DATABASE) doesn't accept writes; this delivery may not have been accepted. Send the webhook again: if the delivery was accepted, the response reports a duplicate.",
      [{ message: unpersisted, fields: { err: full } }],
    ],
    [
      new StoreBusy(),
      '1',
      "Too many deliveries are waiting to be persisted; this delivery wasn't accepted. Send the webhook again shortly.",
      [],
    ],
  ])(
    'with 503 if it cannot be persisted, and the log shows the reason: %s',
    async (error, retryAfter, detail, logged) => {
      const relay = await openReceiving({ store: { accept: () => Promise.reject(error) } })
      const response = await relay.post()
      expect(response.headers.get('retry-after')).toBe(retryAfter)
      expect(await refused(relay, response)).toEqual([503, detail])
      const refusal = expect.objectContaining({ message: 'a Port webhook is refused' })
      expect(relay.logged).toEqual([...logged, refusal])
    },
  )
})

describe('the relay checks', () => {
  test('size, headers, timestamp, signature, JSON, target, and allow-list in this order, up to the first failure', async () => {
    const relay = await openReceiving({ env: { RELAY_MAX_BODY: '1kb', RELAY_REPOSITORY: '' } })
    const none = { 'content-type': 'text/plain', 'x-port-timestamp': '1', 'x-port-signature': 'v1,x' }
    const json = { ...none, 'content-type': 'application/json' }
    const now = { ...json, 'x-port-timestamp': String(Math.floor(Date.now() / 1000)) }
    const junk = Buffer.from('{')
    const large = Buffer.alloc(1025, '{')
    const rows: [Webhook, string][] = [
      [{ body: large, headers: { ...none, 'content-length': '1025' } }, '413 The body is larger than '],
      [{ body: large, headers: json }, '401 The webhook is older tha'],
      [{ body: large, headers: now }, '413 The body is larger than '],
      [{ body: junk, headers: none }, '415 The body must be applica'],
      [{ body: junk, headers: { ...json, 'x-port-signature': null } }, '401 The header x-port-signat'],
      [{ body: junk, headers: json }, '401 The webhook is older tha'],
      [{ body: junk, headers: now }, "401 The signature doesn't ma"],
      [{ body: junk }, "400 The body isn't JSON in U"],
      [{ body: {} }, '422 The webhook sets no repo'],
      [{ body: {}, path: '/webhook/acme/shop' }, "403 acme/shop isn't in RELAY"],
    ]
    for (const [webhook, expected] of rows) {
      const { status, body } = await relay.post(webhook)
      expect(`${status} ${String(body.detail).slice(0, 24)}`).toBe(expected)
    }
    expect(await relay.written()).toEqual([])
  })

  test('the signature before it parses the body', async () => {
    const relay = await openReceiving()
    const parse = vi.spyOn(JSON, 'parse')
    const decode = vi.spyOn(TextDecoder.prototype, 'decode')
    const timestamp = String(Math.floor(Date.now() / 1000))
    const body = Buffer.from('{"__proto__":{}}')
    const headers = { 'x-port-timestamp': timestamp, 'x-port-signature': sign(timestamp, body, 'wrong') }
    const response = await relay.request('/webhook', { method: 'POST', body, headers })
    expect(response.status).toBe(401)
    expect(parse).not.toHaveBeenCalled()
    expect(decode).not.toHaveBeenCalled()
  })
})

describe('the target of a delivery', () => {
  const routes = `
- match: { action: 'deploy_*', operation: CREATE }
  repository: acme/first
  event_type: from_route
- match: { blueprint: '{service,vm}' }
  repository: acme/second
- repository: acme/rest
`
  const open = (env: Record<string, string> = {}) =>
    openReceiving({
      env: { RELAY_ROUTES: 'routes.yml', RELAY_ALLOWED_REPOSITORIES: 'acme/*', ...env },
      files: { 'routes.yml': routes },
    })
  const target = async (relay: Receiving, webhook: Parameters<Receiving['post']>[0]) => {
    const { status, body } = await relay.post(webhook)
    return status === 202 ? `${body.repository} ${body.event_type}` : status
  }

  test('comes from the signed body, or else the URL, the first matching route, or RELAY_REPOSITORY', async () => {
    const relay = await open()
    const path = '/webhook/acme/url?event_type=from_url'
    const github = { repository: 'acme/body', event_type: 'from_body' }
    const of = (id: string, more: object = {}) => context({ run: { id }, ...more })
    expect(await target(relay, { path, body: of('r_1', { github }) })).toBe('acme/body from_body')
    expect(await target(relay, { path, body: of('r_2') })).toBe('acme/url from_url')
    expect(await target(relay, { body: of('r_3') })).toBe('acme/first from_route')
    const day2 = { trigger: { operation: 'DAY-2' } }
    expect(await target(relay, { body: of('r_4', day2) })).toBe('acme/second deploy_service')
    const other = { action: { identifier: 'scaffold', blueprint: 'cluster' } }
    expect(await target(relay, { body: of('r_5', other) })).toBe('acme/rest scaffold')
    expect(await target(relay, { body: { any: 1 } })).toBe('acme/rest port_action')
  })

  test.each([
    ['deploy*', 'deploy/eu', 'acme/routed'],
    ['*_prod', 'eu/shop_prod', 'acme/routed'],
    ['*', '.hidden/x', 'acme/routed'],
    ['[!d]*', 'restart', 'acme/routed'],
    ['[!d]*', 'deploy', 'acme/shop'],
  ])('with a route for the action %s, the action %s goes to %s', async (glob, identifier, repository) => {
    const files = { r: `- { match: { action: '${glob}' }, repository: acme/routed }` }
    const relay = await openReceiving({ env: { RELAY_ROUTES: 'r' }, files })
    const body = context({ action: { identifier } })
    expect(await target(relay, { body })).toBe(`${repository} ${identifier}`)
  })

  test('combines body and URL if each contains half of the target', async () => {
    const relay = await open()
    const body = { github: { repository: 'acme/body' } }
    expect(await target(relay, { path: '/webhook?event_type=from_url', body })).toBe('acme/body from_url')
    const type = { github: { event_type: 'from_body' } }
    expect(await target(relay, { path: '/webhook/acme/url', body: type })).toBe('acme/url from_body')
    expect(await target(relay, { body: context({ github: { event_type: 'x' } }) })).toBe('acme/first x')
  })

  describe('can be a workflow and a ref:', () => {
    const workflows = `
- match: { action: 'deploy_*' }
  repository: acme/first
  workflow: deploy.yml
  ref: release/1
- match: { action: by_id }
  repository: acme/second
  workflow: 4711
- repository: acme/rest
`
    const openWorkflows = () =>
      openAccepting({
        env: { RELAY_ROUTES: 'routes.yml', RELAY_ALLOWED_REPOSITORIES: 'acme/*' },
        files: { 'routes.yml': workflows },
      })
    const rows: [path: string, github: object | undefined, action: string, expected: string][] = [
      ['', { workflow: 'ci.yml', ref: 'main' }, 'x', 'acme/rest ci.yml main'],
      ['', { repository: 'acme/body', workflow: 17 }, 'x', 'acme/body 17 null'],
      ['/acme/url?workflow=ci.yaml&ref=refs/heads/main', undefined, 'x', 'acme/url ci.yaml refs/heads/main'],
      ['?workflow=ci.yml&ref=main', { ref: 'v1.2' }, 'x', 'acme/rest ci.yml v1.2'],
      ['?event_type=go', { workflow: 'ci.yml' }, 'x', 'acme/rest ci.yml null'],
      ['?workflow=ci.yml&ref=main', { event_type: 'go' }, 'x', 'acme/rest go'],
      ['', undefined, 'deploy_it', 'acme/first deploy.yml release/1'],
      ['?ref=main', undefined, 'deploy_it', 'acme/first deploy.yml main'],
      ['?event_type=go', undefined, 'deploy_it', 'acme/first go'],
      ['', undefined, 'by_id', 'acme/second 4711 null'],
      ['', undefined, 'x', 'acme/rest x'],
    ]
    test.each(rows)(
      '/webhook%s with %j for the action %s goes to %s',
      async (path, github, action, expected) => {
        const { relay, accepted } = await openWorkflows()
        const body = context({ action: { identifier: action }, ...(github && { github }) })
        const response = await relay.post({ path: `/webhook${path}`, body })
        expect(response.status).toBe(202)
        const { repository, eventType, workflow, ref } = accepted[0]!
        expect(`${repository} ${workflow === null ? eventType : `${workflow} ${ref}`}`).toBe(expected)
        expect(workflow === null ? ref : eventType).toBeNull()
        const shown = workflow === null ? { event_type: eventType } : { workflow, ref }
        expect(response.body).toMatchObject({ repository, ...shown })
        expect('event_type' in response.body).toBe(workflow === null)
      },
    )

    const exclusive = 'event_type and workflow exclude each other: keep one.'
    const needs = 'ref needs workflow: a repository_dispatch always runs on the default branch.'
    const file =
      "can't be a workflow: it must be the name of a file in .github/workflows, such as deploy.yml, or the id of a workflow."
    const ref = "can't be a ref: it must be the name of a branch or tag."
    const text =
      '"github.workflow" in the body must be a string: correct or remove it in the "body" of the Port action.'
    test.each([
      ['', { event_type: 'go', workflow: 'ci.yml' }, exclusive],
      ['?event_type=go&workflow=ci.yml', undefined, exclusive],
      ['?ref=main', undefined, needs],
      ['', { event_type: 'go', ref: 'main' }, needs],
      ['?workflow=ci', undefined, `"ci" ${file}`],
      ['?workflow=../x.yml', undefined, `"../x.yml" ${file}`],
      ['', { workflow: '.github/workflows/ci.yml' }, `".github/workflows/ci.yml" ${file}`],
      ['', { workflow: 1.5 }, text],
      ['?workflow=ci.yml&ref=a..b', undefined, `"a..b" ${ref}`],
      ['?workflow=ci.yml', { ref: 'a b' }, `"a b" ${ref}`],
      ['?workflow=ci.yml', { ref: '-f' }, `"-f" ${ref}`],
      ['?workflow=ci.yml', { ref: 'x'.repeat(251) }, `"${'x'.repeat(60)}…" ${ref}`],
    ])('/webhook%s with %j is refused with 422: %s', async (path, github, detail) => {
      const { relay, accepted } = await openWorkflows()
      const body = { v: 1, ...(github && { github }) }
      const response = await relay.post({ path: `/webhook${path}`, body })
      expect([response.status, response.body.detail]).toEqual([422, detail])
      expect(accepted).toEqual([])
    })
  })
})

describe('the log', () => {
  test('identifies the delivery and its target, and contains no body, user, or secret', async () => {
    const relay = await openReceiving()
    const { headers, body } = readFixture('context-create')
    const response = await relay.post({ headers, body })
    await relay.post({ headers, body, secret: 'wrong' })
    await relay.post({ headers, body: Buffer.from('{"password":"hunter2"') })
    const fields = {
      ...{ delivery: response.body.delivery, run: 'r_Q0YotCZMKxDLdlaU', duplicate: false },
      ...{ repository: 'acme/shop', event_type: 'service_scaffold' },
    }
    expect(relay.logged).toEqual([
      { message: 'the delivery is accepted', fields },
      ...[401, 400].map(status => ({
        message: 'a Port webhook is refused',
        fields: { method: 'POST', path: '/webhook', status, reason: expect.any(String), address: '' },
      })),
    ])
  })

  test('contains the details of an internal error, and the 500 response does not', async () => {
    const err = new Error('the clock stands still')
    const clock = () => {
      throw err
    }
    const relay = await openReceiving({ clock })
    const detail = 'Something failed inside the relay; its log shows the error. Nothing was accepted.'
    expect(await refused(relay, await relay.post())).toEqual([500, detail])
    expect(relay.logged).toEqual([
      { message: 'a request failed', fields: { err } },
      expect.objectContaining({ message: 'a Port webhook is refused' }),
    ])
  })
})

describe('health checks', () => {
  test.each(['/healthz', '/readyz'])('%s accepts GET and HEAD; other methods get 405', async path => {
    const relay = await openReceiving()
    expect((await relay.request(path, { method: 'HEAD' })).status).toBe(200)
    expect(await (await relay.request(path)).json()).toMatchObject({ ok: true })
    const response = await relay.request(path, { method: 'POST' })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    expect(await response.json()).toMatchObject({ title: 'Method Not Allowed', status: 405 })
  })

  test('GET /readyz reports whether the database accepts writes', async () => {
    const relay = await openReceiving()
    const response = await relay.request('/readyz')
    const isUp = { ok: true, checks: { database: { ok: true } } }
    expect([response.status, await response.json()]).toMatchObject([200, isUp])
    let writes = 0
    const ping = async () => {
      writes++
      throw new Error('gone')
    }
    const broken = await openReceiving({ store: { ping } })
    const refusal = await broken.request('/readyz')
    expect([refusal.status, refusal.headers.get('retry-after')]).toEqual([503, '5'])
    const database = { ok: false, detail: 'The database (RELAY_DATABASE) is unavailable or read-only.' }
    expect(await refusal.json()).toMatchObject({ ok: false, checks: { database } })
    // The endpoint is public, so its database write must be rate limited.
    for (let n = 0; n < 400; n++) expect((await broken.request('/readyz')).status).toBe(503)
    expect(writes).toBeLessThan(300)
  })
})
