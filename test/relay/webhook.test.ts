import { describe, expect, test } from 'vitest'
import type { NewDelivery } from '../../relay/delivery/delivery.ts'
import { DatabaseError } from '../../relay/store/failures.ts'
import { type Store, StoreBusy } from '../../relay/store/store.ts'
import { fixtureNames, readFixture } from '../support/fixture.ts'
import { openReceiving, type Receiving } from '../support/receiving.ts'
import { SECRET, sign, type Webhook } from '../support/requests.ts'

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

  test('can have the headers and the body of each fixture', async () => {
    for (const name of fixtureNames)
      expect((await (await openReceiving()).post(readFixture(name))).status, name).toBe(202)
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
    const replayed = await relay.post({ body: { a: 1 }, timestamp, path: '/webhook/acme/shop' })
    const detail = expect.stringContaining('was received at another address')
    expect(replayed).toMatchObject({ status: 409, body: { detail } })
    expect(await relay.written()).toHaveLength(3)
  })

  // A 200 would leave the Port run of the second header in progress forever: no workflow run belongs to it.
  test('with a different unsigned RUN_ID header starts nothing and is refused with an actionable error', async () => {
    const relay = await openReceiving()
    const timestamp = String(Math.floor(Date.now() / 1000))
    const first = await relay.post({ body: { a: 1 }, timestamp, headers: { RUN_ID: 'r_1' } })
    expect(first.status).toBe(202)
    const replayed = await relay.post({ body: { a: 1 }, timestamp, headers: { RUN_ID: 'r_2' } })
    const detail = /^A webhook with this signature was received for another run, .* Add "port_context": /
    expect(replayed).toMatchObject({ status: 409, body: { detail: expect.stringMatching(detail) } })
    const again = await relay.post({ body: { a: 1 }, timestamp, headers: { RUN_ID: 'r_1' } })
    expect([again.status, again.body]).toEqual([200, { ...first.body, duplicate: true }])
    expect(await relay.written()).toHaveLength(1)
  })
})

test('a run whose runner was lost is run again if the body, or the route that chose the target, sets "rerun"', async () => {
  const files = { routes: '[{ match: { action: heal }, repository: acme/shop, rerun: lost-runner }]' }
  const relay = await openReceiving({ env: { RELAY_ROUTES: 'routes' }, files })
  const heal = { action: { identifier: 'heal' } }
  const bodies = [{ v: 1 }, { v: 2, github: { rerun: 'lost-runner' } }, { v: 3, ...heal }]
  for (const body of bodies) await relay.post({ body })
  await relay.post({ body: { v: 4, ...heal }, path: '/webhook/acme/shop' })
  expect((await relay.written()).map(({ rerunAt }) => rerunAt)).toEqual([null, 0, 0, null])
})

describe('a webhook is refused', () => {
  const nested = (levels: number) => Buffer.from(`${'['.repeat(levels)}"]["${']'.repeat(levels)}`)
  const keys = (count: number) => ({
    port_payload: Object.fromEntries(Array.from({ length: count / 2 }, (_, n) => [n, ':'])),
    port_context: Object.fromEntries(Array.from({ length: count / 2 - 2 }, (_, n) => [n, '":'])),
  })
  const header = (name: string, value: string | null): Webhook => ({ headers: { [name]: value } })
  const headers = (name: string, ...values: (string | null)[]) => values.map(value => header(name, value))
  const bodies = (...texts: string[]): Webhook[] => texts.map(text => ({ body: Buffer.from(text) }))
  const paths = (...all: string[]): Webhook[] => all.map(path => ({ path, body: context() }))
  const repositories = (...all: unknown[]): Webhook[] =>
    all.map(repository => ({ body: { v: 1, github: { repository } } }))
  const long = 'x'.repeat(101)
  const isLong = `"${'x'.repeat(60)}…" can't be an event type`

  /** Columns: the status, a part of the message, and webhooks. */
  const rows: [status: number, detail: string, ...webhooks: Webhook[]][] = [
    [400, "The body isn't JSON in UTF-8", ...bodies('not json', '{"a":1')],
    [
      400,
      "The body isn't JSON in UTF-8",
      ...['"\xff"', '\xef\xbb\xbf'].map(raw => ({ body: Buffer.from(raw, 'latin1') })),
    ],
    [400, 'nested more than 90 levels deep', { body: nested(91) }],
    [400, 'The number at "replicas" is larger than 1.8e308', ...bodies('{"inputs":{"replicas":1e400}}')],
    [400, 'The number at "1" is', ...bodies('{"a": [1, -1.5E+0309]}')],
    [400, 'The number at "a" is', ...bodies(`{"a":\n${'9'.repeat(310)}}`, `{"a":1${'0'.repeat(250)}e+99}`)],
    [400, 'The number is larger', ...bodies('1e999')],
    [401, 'The header x-port-timestamp is missing', ...headers('x-port-timestamp', null, '', ' ')],
    [401, 'The header x-port-signature is missing', ...headers('x-port-signature', null, '')],
    [
      ...([401, 'x-port-timestamp must be a number of seconds or milliseconds since 1970'] as const),
      ...['yesterday', '-1', '1e9', '1713277889.5', '0x1', '9'.repeat(16)].map(timestamp => ({ timestamp })),
    ],
    [401, "The signature doesn't match: PORT_CLIENT_SECRET", { secret: 'wrong' }],
    [401, "The signature doesn't match", ...headers('x-port-signature', 'nonsense', sign('1', '{}'))],
    [401, "The signature doesn't match", { path: '/webhook?wait=true', secret: 'wrong' }],
    [403, "acme/other isn't in RELAY_ALLOWED_REPOSITORIES", { path: '/webhook/acme/other' }],
    [404, 'There is nothing at this address', ...paths('/', '/webhook/', '/webhook/acme', '/hook')],
    [404, 'There is nothing at this address', ...paths('/webhook/acme/shop/more')],
    [415, 'must be application/json', ...headers('content-type', 'text/plain', 'json', 'application/jsonx')],
    [415, 'must be application/json', header('content-type', 'application/json; a=b; charset=latin1')],
    [
      415,
      'must be application/json',
      header('content-type', 'multipart/form-data; boundary=application/json'),
    ],
    [415, 'The body must not be compressed', header('content-encoding', 'gzip')],
    [422, 'The body has more than 20000 keys', { body: keys(20_002) }],
    [
      422,
      "isn't a repository",
      ...repositories('shop', 'acme/', '/shop', 'acme/shop/x', '../shop', 'acme/..'),
    ],
    [
      422,
      "isn't a repository",
      ...repositories('acme/sh op', '-acme/shop', 'ac.me/shop', 'acme/other\n', ' '),
    ],
    [422, `"acme/secret.GIT" isn't a repository`, ...repositories('acme/secret.GIT')],
    [
      422,
      '"github.repository" in the body must be a string',
      ...repositories(['acme/x'], 7, false, { name: 'a/b' }),
    ],
    [422, '"github.event_type" in the body must be a string', { body: { github: { event_type: 5 } } }],
    [422, '"github.reportWorkflowStatus" in', { body: { github: { reportWorkflowStatus: 'no' } } }],
    [422, '"github.rerun" in the body must be "lost-runner"', { body: { github: { rerun: 'always' } } }],
    [422, `${isLong}: it must be 1 to 100 characters`, { body: context({ action: { identifier: long } }) }],
    [422, isLong, { path: `/webhook?event_type=${long}` }, { body: { github: { event_type: long } } }],
    [422, `"a\\nb" can't be an event type`, ...paths('/webhook?event_type=a%0Ab')],
    [
      422,
      'has the unknown parameter "event_typ"',
      ...paths('/webhook?event_typ=a', '/webhook/acme/shop?event_typ=a'),
    ],
    [422, 'has the unknown parameter "Wait"', ...paths('/webhook?event_type=deploy&Wait=dispatch')],
    [422, 'has the unknown parameter "__proto__"', ...paths('/webhook?__proto__=x')],
    [422, 'has the parameter event_type 2 times', ...paths('/webhook?event_type=a&event_type=b')],
    [422, 'has wait="true"', ...paths('/webhook?wait=true')],
  ]

  test.each(['a socket', 'Hono alone'])(
    'with a status, an actionable message, and a log line (%s)',
    async how => {
      const relay = await openReceiving()
      const post = how === 'a socket' ? await relay.listen() : relay.post
      for (const [status, detail, ...webhooks] of rows) {
        for (const webhook of webhooks) {
          const reason = JSON.stringify(webhook).slice(0, 200)
          const refusal = [status, expect.stringContaining(detail)]
          relay.logged.length = 0
          expect(await refused(relay, await post(webhook)), reason).toEqual(refusal)
          expect(relay.logged, reason).toHaveLength(
            (webhook.path ?? '/webhook').startsWith('/webhook') ? 1 : 0,
          )
        }
      }
    },
  )

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
    const detail = (word: string) => expect.stringContaining(`is ${word} than RELAY_TOLERANCE allows (300 s)`)
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
    for (const path of ['/webhook', '/webhook/acme/shop']) {
      const response = await relay.request(path, { method })
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST, PUT, PATCH, DELETE'])
    }
  })

  test('with 413 if it exceeds RELAY_MAX_BODY by a single byte', async () => {
    const relay = await openReceiving({ env: { RELAY_MAX_BODY: '100b' } })
    const body = (length: number) => Buffer.from(JSON.stringify('x'.repeat(length - 2)))
    expect((await relay.post({ body: body(100) })).status).toBe(202)
    await relay.written()
    const expected = [413, expect.stringContaining('larger than RELAY_MAX_BODY allows (100 bytes)')]
    expect(await refused(relay, await relay.post({ body: body(101) }))).toEqual(expected)
    const declared = await relay.post({ body: body(50), headers: { 'content-length': '101' } })
    expect(await refused(relay, declared)).toEqual(expected)
  })

  const full = new Error('disk full')
  test.each([
    [
      full,
      '10',
      'may not have been accepted. Send the webhook again',
      [expect.objectContaining({ fields: { err: full } })],
    ],
    [new StoreBusy(), '1', "wasn't accepted. Send the webhook again shortly", []],
  ])(
    'with 503 if it cannot be persisted, and the log shows the reason: %s',
    async (error, after, detail, logged) => {
      const relay = await openReceiving({ store: { accept: () => Promise.reject(error) } })
      const response = await relay.post()
      expect(response.headers.get('retry-after')).toBe(after)
      expect(await refused(relay, response)).toEqual([503, expect.stringContaining(detail)])
      const refusal = expect.objectContaining({ message: 'a Port webhook is refused' })
      expect(relay.logged).toEqual([...logged, refusal])
    },
  )
})

test('the relay checks size, headers, timestamp, signature, JSON, target, and allow-list in this order, up to the first failure', async () => {
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

describe('the target of a delivery', () => {
  const routes = `
- match: { action: 'deploy_*', operation: CREATE }
  repository: acme/first
  event_type: from_route
- match: { blueprint: '{service,vm}' }
  repository: acme/second
- repository: acme/rest
`
  const env = { RELAY_ROUTES: 'routes.yml', RELAY_ALLOWED_REPOSITORIES: 'acme/*' }
  const target = async (relay: Receiving, webhook: Parameters<Receiving['post']>[0]) => {
    const { status, body } = await relay.post(webhook)
    return status === 202 ? `${body.repository} ${body.event_type}` : status
  }

  const inBody = { repository: 'acme/body', event_type: 'from_body' }
  const inUrl = '/webhook/acme/url?event_type=from_url'
  const ofCluster = { action: { identifier: 'scaffold', blueprint: 'cluster' } }
  test.each<[path: string, body: object, target: string]>([
    [inUrl, context({ github: inBody }), 'acme/body from_body'],
    [inUrl, context(), 'acme/url from_url'],
    ['/webhook', context(), 'acme/first from_route'],
    ['/webhook', context({ trigger: { operation: 'DAY-2' } }), 'acme/second deploy_service'],
    ['/webhook', context(ofCluster), 'acme/rest scaffold'],
    ['/webhook', { any: 1 }, 'acme/rest port_action'],
    // Body and URL can each contain half of the target.
    ['/webhook?event_type=from_url', { github: { repository: 'acme/body' } }, 'acme/body from_url'],
    ['/webhook/acme/url', { github: { event_type: 'from_body' } }, 'acme/url from_body'],
    ['/webhook', context({ github: { event_type: 'x' } }), 'acme/first x'],
    // Deliveries of one repository share a queue, however its name is spelled.
    ['/webhook', context({ github: { repository: 'Acme/Body' } }), 'acme/body deploy_service'],
    // Null and an empty string count as not set.
    ['/webhook', { github: { repository: null, event_type: '' } }, 'acme/rest port_action'],
  ])(
    'comes from the signed body, or else the URL, the first matching route, or RELAY_REPOSITORY: %s with %j goes to %s',
    async (path, body, expected) => {
      const relay = await openReceiving({ env, files: { 'routes.yml': routes } })
      expect(await target(relay, { path, body })).toBe(expected)
    },
  )

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
    const openWorkflows = async () => {
      const accepted: NewDelivery[] = []
      const accept: Store['accept'] = async delivery => {
        accepted.push(delivery)
        return { ...delivery, state: 'queued', duplicate: false }
      }
      const relay = await openReceiving({ env, files: { 'routes.yml': workflows }, store: { accept } })
      return { relay, accepted }
    }
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

    const isNo = { workflow: "can't be a workflow", ref: "can't be a ref" }
    test.each([
      ['', { event_type: 'go', workflow: 'ci.yml' }, 'event_type and workflow exclude each other'],
      ['?event_type=go&workflow=ci.yml', undefined, 'event_type and workflow exclude each other'],
      ['?ref=main', undefined, 'ref needs workflow'],
      ['', { event_type: 'go', ref: 'main' }, 'ref needs workflow'],
      ['?workflow=ci', undefined, `"ci" ${isNo.workflow}`],
      ['?workflow=../x.yml', undefined, `"../x.yml" ${isNo.workflow}`],
      ['', { workflow: '.github/workflows/ci.yml' }, isNo.workflow],
      ['', { workflow: 1.5 }, '"github.workflow" in the body must be a string'],
      ['?workflow=ci.yml&ref=a..b', undefined, `"a..b" ${isNo.ref}`],
      ['?workflow=ci.yml', { ref: 'a b' }, `"a b" ${isNo.ref}`],
      ['?workflow=ci.yml', { ref: '-f' }, `"-f" ${isNo.ref}`],
      ['?workflow=ci.yml', { ref: 'x'.repeat(251) }, `"${'x'.repeat(60)}…" ${isNo.ref}`],
    ])('/webhook%s with %j is refused with 422: %s', async (path, github, detail) => {
      const { relay, accepted } = await openWorkflows()
      const response = await relay.post({
        path: `/webhook${path}`,
        body: { v: 1, ...(github && { github }) },
      })
      expect([response.status, response.body.detail]).toEqual([422, expect.stringContaining(detail)])
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
    const detail = expect.stringContaining('Nothing was accepted')
    expect(await refused(relay, await relay.post())).toEqual([500, detail])
    expect(relay.logged).toEqual([
      { message: 'a request failed', fields: { err } },
      expect.objectContaining({ message: 'a Port webhook is refused' }),
    ])
    const cause = { code: 'ECONNREFUSED' }
    const ping = () => Promise.reject(new Error('PostgreSQL: connect ECONNREFUSED 10.0.0.1:5432', { cause }))
    const broken = await openReceiving({ clock, store: { ping } })
    expect(await refused(broken, await broken.post())).toEqual([
      503,
      "The database (RELAY_DATABASE) doesn't accept writes: it can't be reached (ECONNREFUSED). Check the server and the network. Send the request again.",
    ])
  })

  test('a route responds with 503 if a statement fails although a test write succeeds', async () => {
    const findCancellation = () => Promise.reject(new DatabaseError('SQLite: disk I/O error'))
    const relay = await openReceiving({ store: { findCancellation } })
    const response = await relay.post({ path: '/webhook/cancel', body: { run_id: 'r_1' } })
    const detail = 'The database (RELAY_DATABASE) failed. Send the request again.'
    expect(await refused(relay, response)).toEqual([503, detail])
    expect(response.headers.get('retry-after')).toBe('10')
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
      throw new Error('SQLite: database or disk is full', { cause: { code: 13 } })
    }
    const broken = await openReceiving({ store: { ping } })
    const refusal = await broken.request('/readyz')
    expect([refusal.status, refusal.headers.get('retry-after')]).toEqual([503, '5'])
    const detail = "The database (RELAY_DATABASE) doesn't accept writes: the disk is full. Free space on it."
    const database = { ok: false, detail }
    expect(await refusal.json()).toMatchObject({ ok: false, checks: { database } })
    // The endpoint is public, so its database write must be rate limited.
    for (let n = 0; n < 400; n++) expect((await broken.request('/readyz')).status).toBe(503)
    expect(writes).toBeLessThan(300)
  })
})
