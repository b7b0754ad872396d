import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createRepositoryFacts } from '../../relay/reports/repository-facts.ts'
import { encryptWith } from '../action/encrypt.ts'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { openRelayHere, relayEnv } from '../support/relay.ts'
import { SECRET, send } from '../support/requests.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { GITHUB_RUN_ID, REPOSITORY, startReport, startSystem } from './open-stage.ts'

test('a run authenticates with GitHub’s token and gets the status of its Port run', async () => {
  const system = await startSystem()
  const { id, portRun } = await system.deliver()
  const answer = await system.start(id)
  expect(answer).toMatchObject({ status: 200, type: 'application/json' })
  expect(answer.body).toEqual({
    token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
    expires_at: expect.stringMatching(/Z$/),
    reports: true,
    run: { status: 'in_progress', ended: false, synchronized: false, external_run_id: null },
    payload: null,
    secrets: {},
  })
  system.port.endRun(portRun!.id, 'FAILURE')
  const again = await system.start(id, { runAttempt: 2 })
  expect(again.body.run).toMatchObject({ status: 'failure', ended: true })
  expect(system.relay.printed()).not.toContain(String(answer.body.token))
})

test('the relay ignores case in the repository name of a token', async () => {
  const system = await startSystem({ RELAY_REPOSITORY: 'ACME/Shop' })
  const { id } = await system.deliver()
  await expect(startReport(system, id)).resolves.toBeTruthy()
})

test('a second run gets 409 as a duplicate, but other jobs and re-runs of the first run are accepted', async () => {
  const system = await startSystem()
  const { id } = await system.deliver()
  const first = await startReport(system, id)
  expect(await system.start(id, { runId: 4711 })).toEqual({
    status: 409,
    type: 'application/problem+json',
    body: {
      ...{ type: 'about:blank', title: 'Conflict', status: 409 },
      detail: `The delivery already belongs to another workflow run, ${GITHUB_RUN_ID}; this run is 4711.`,
      duplicate: true,
      github_run_id: GITHUB_RUN_ID,
    },
  })
  const report = async (token: string) => (await system.report(token, id, [])).status
  expect(await report(first)).toBe(202)
  expect(await report(await startReport(system, id))).toBe(202)
  expect(await report(first)).toBe(202)

  expect(await report(await startReport(system, id, { runAttempt: 2 }))).toBe(202)
  expect(await report(first)).toBe(403)
})

test.each(['sqlite', 'postgres'] as const)(
  'if six workflow runs start at almost the same time, one gets the delivery and the others get 409 (%s)',
  async kind => {
    const system = await startSystem(kind === 'postgres' ? { RELAY_DATABASE: await newDatabase() } : {})
    for (let round = 0; round < 4; round++) {
      const { id } = await system.deliver()
      const runIds = [1, 2, 3, 4, 5, 6].map(n => round * 10 + n)
      const responses = await Promise.all(
        runIds.map(async (runId, n) => {
          await sleep(n * (round % 2) * 3)
          return system.start(id, { runId })
        }),
      )
      const first = responses.findIndex(({ status }) => status === 200)
      const duplicate = { status: 409, body: { duplicate: true, github_run_id: runIds[first] } }
      expect(responses).toMatchObject(responses.map((_, n) => (n === first ? { status: 200 } : duplicate)))
      expect((await system.report(responses[first]?.body.token, id, [])).status).toBe(202)
    }
  },
)

test('an input that did not fit the payload is returned unchanged, with its keys in the same order', async () => {
  const system = await startSystem()
  const inputs = { first: 1, large: 'x'.repeat(70_000), last: { a: [true, null] } }
  const entity = { identifier: 'shop', notes: 'y'.repeat(40_000) }
  const { id, payload } = await system.deliver({ body: { inputs, entity } })
  expect(payload.port.truncated).toEqual(['inputs.large'])
  const answer = await system.post('/report/start', system.token(), { delivery: id, complete: true })
  expect(answer.body.payload).toEqual({ inputs, encrypted: [], entity, event: null })
  expect(JSON.stringify((answer.body.payload as { inputs: unknown }).inputs)).toBe(JSON.stringify(inputs))
})

test('the bound run gets the secret inputs that any configured secret can decrypt; no plaintext is stored or logged', async () => {
  const scheme = vectors['aes256-gcm']
  const system = await startSystem({ PORT_PREVIOUS_SECRETS: scheme.clientSecret })
  const [text, object] = scheme.cases
  const sealed = vectors['client-side'].cases[0]!
  const encrypted = { one: text!.encrypted, two: object!.encrypted, other: sealed.encrypted }
  const action = {
    ...{ identifier: 'deploy_service', blueprint: 'service' },
    encryptedProperties: ['one', 'two', 'other', 'none', 'missing'],
  }
  const { id } = await system.deliver({ body: { inputs: { plain: 'p', ...encrypted, none: null }, action } })
  const answer = await system.start(id)
  expect(answer.body.secrets).toEqual({ one: text!.plaintext, two: object!.plaintext })

  const reports = [{ update: { conclusion: 'success' } }]
  expect((await system.report(answer.body.token, id, reports)).status).toBe(202)
  for (const [path, token] of [
    ['/report/start', system.token({ runAttempt: 1 })],
    ['/report/start', system.token({ runAttempt: 2 })],
    ['/report/inputs', String(answer.body.token)],
  ] as const) {
    const refused = await system.post(path, token, { delivery: id })
    expect([path, refused.status]).toEqual([path, 410])
    expect(refused.body.detail).toMatch(/^The delivery has finished, so its inputs are no longer available/)
    expect(JSON.stringify(refused.body)).not.toContain('secrets')
  }

  const path = system.env.RELAY_DATABASE!.slice('sqlite:'.length)
  await system.relay.stop()
  const database = new DatabaseSync(path)
  const stored = JSON.stringify(
    ['deliveries', 'outbox', 'report_senders'].map(table => database.prepare(`SELECT * FROM ${table}`).all()),
  )
  database.close()
  expect(stored).toContain(text!.encrypted)
  for (const clear of [text!.plaintext, object!.plaintext, 'p@ss']) {
    expect(stored).not.toContain(JSON.stringify(clear).slice(1, -1))
    expect(system.relay.printed()).not.toContain(clear)
  }
})

test('matrix jobs can get 200 encrypted inputs each, and a run that sends too many requests gets 429', async () => {
  const system = await startSystem()
  const encrypted = Array.from({ length: 201 }, (_, n) => `secret${n}`)
  const invocation = (names: string[]) => ({
    action: { identifier: 'deploy_service', blueprint: 'service', encryptedProperties: names },
    inputs: Object.fromEntries(names.map(name => [name, encryptWith(SECRET, `of ${name}`)])),
  })
  const refused = await send(system.url, { body: invocation(encrypted) })
  const detail = expect.stringContaining('has 201 encrypted inputs; at most 200 are accepted')
  expect(refused).toMatchObject({ status: 422, body: { detail } })
  const open = async (names: string[], runId: number) => {
    const { id } = await system.deliver({ body: invocation(names) })
    const token = await startReport(system, id, { runId })
    return { id, token, ask: () => system.post('/report/inputs', token, { delivery: id }) }
  }
  const { ask } = await open(encrypted.slice(1), 1)
  const secrets = Object.fromEntries(encrypted.slice(1).map(name => [name, `of ${name}`]))
  for (const answer of await Promise.all(Array.from({ length: 16 }, ask)))
    expect(answer).toMatchObject({ status: 200, body: { payload: null, secrets } })
  const eager = await open(encrypted.slice(0, 1), 2)
  expect(await statusesOf(eager.ask)).toEqual([200, 429])
  const log = [{ level: 'INFO', message: 'goes on' }]
  expect((await system.report(eager.token, eager.id, [{ log }])).status).toBe(202)
})

/** Sends requests until one gets 429. */
async function statusesOf(ask: () => Promise<{ status: number }>): Promise<number[]> {
  const statuses = new Set<number>()
  for (let round = 0; round < 30 && !statuses.has(429); round++)
    for (const { status } of await Promise.all(Array.from({ length: 100 }, ask))) statuses.add(status)
  return [...statuses].sort()
}

test('a run can start reporting while Port is unreachable, but not while GitHub is unreachable', async () => {
  const system = await startSystem()
  const { id } = await system.deliver()
  await system.github.stop()
  const detail = expect.stringContaining("it can't read acme/shop from GitHub now. Send the report again.")
  expect(await system.start(id)).toMatchObject({ status: 503, body: { detail } })
  await system.github.start()
  await system.port.stop()
  const answer = await system.start(id)
  expect(answer.status).toBe(200)
  const run = { status: 'unknown', ended: false, synchronized: false, external_run_id: null }
  expect(answer.body.run).toEqual(run)
})

test('a renamed repository is recognized by its id, and a different repository with the old name is refused', async () => {
  const system = await startSystem({ RELAY_ALLOWED_REPOSITORIES: 'acme/*' })
  const [one, two] = [await system.deliver(), await system.deliver()]
  await expect(startReport(system, one.id, { repository: 'acme/store' })).resolves.toBeTruthy()
  const asked = () => system.github.requests.filter(({ path }) => path === '/repos/acme/shop').length
  const before = asked()
  for (const ref of ['refs/heads/main', 'refs/heads/x']) {
    expect((await system.start(two.id, { repositoryId: 4711, runId: 2, ref })).status).toBe(403)
  }
  // An unrelated run does not make the relay send requests to GitHub.
  expect(asked()).toBe(before)
})

test.each([
  ['acme/store', 200],
  ['stranger/shop', 403],
])('a repository that was renamed to %s must be in the allow-list (status %i)', async (now, status) => {
  const system = await startSystem({ RELAY_ALLOWED_REPOSITORIES: 'acme/*' })
  const { id } = await system.deliver()
  system.github.renameRepository('acme/shop', now)
  expect((await system.start(id)).status).toBe(status)
})

test('refused start requests cause only one request to GitHub, for the run title', async () => {
  const system = await startSystem()
  const [one, two] = [await system.deliver(), await system.deliver()]
  await startReport(system, one.id)
  system.github.createRun({ repository: REPOSITORY, id: 2, displayTitle: `deploy (${one.id})` })
  const asked = (path: string) =>
    system.github.requests.filter(each => each.method === 'GET' && each.path === `/repos/acme/shop${path}`)
      .length
  const before = asked('')
  for (let index = 0; index < 10; index++) {
    for (const ref of [`refs/heads/x${index}`, 'refs/heads/main']) {
      expect((await system.start(two.id, { runId: 2, ref })).status).toBe(403)
    }
  }
  expect([asked('') - before, asked('/actions/runs/2')]).toEqual([0, 1])
})

test('a run that sends too many start requests gets 429, but another run can start', async () => {
  const system = await startSystem()
  const { id } = await system.deliver()
  const token = system.token({ runId: 2 })
  const start = () => system.post('/report/start', token, { delivery: 'none' })
  expect(await statusesOf(start)).toEqual([403, 429])
  await expect(startReport(system, id)).resolves.toBeTruthy()
})

test('a relay without RELAY_PUBLIC_URL refuses reports, and the error names the setting', async () => {
  const relay = await openRelayHere(relayEnv())
  for (const path of ['/report', '/report/start']) {
    const response = await fetch(relay.url + path, { method: 'POST', body: '{}' })
    const detail = expect.stringContaining('set RELAY_PUBLIC_URL in its environment')
    expect([response.status, await response.json()]).toMatchObject([404, { detail }])
  }
})

test('repository data is read again after a minute, and the cached data is used while GitHub is unreachable', async () => {
  const shop = { id: 1, fullName: 'acme/shop', defaultBranch: 'main' }
  let [now, ask] = [0, () => Promise.resolve(shop)]
  const log = { warn() {} }
  const factsOf = createRepositoryFacts({ ask: () => ask(), clock: () => now, log, throttled: log })
  await factsOf('acme/shop')
  now = 3_600_000
  ask = () => Promise.reject(new TypeError('fetch failed'))
  expect(await factsOf('acme/shop')).toMatchObject(shop)
  ask = () => Promise.resolve({ ...shop, defaultBranch: 'next' })
  expect(await factsOf('acme/shop')).toMatchObject({ defaultBranch: 'next' })
  now += 60_000
  ask = () => Promise.resolve({ ...shop, id: 3 })
  await expect(factsOf('acme/shop')).rejects.toMatchObject({ status: 403 })
})
