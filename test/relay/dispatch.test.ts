import { describe, expect, test } from 'vitest'
import type { NewRepository } from '../../simulator/github/types.ts'
import { iso, type System, startSystem } from '../support/system.ts'
import { withoutDelivery } from '../support/without-delivery.ts'
import { withoutJitter } from '../support/without-jitter.ts'

withoutJitter()

/** A workflow that listens to `deploy`. Its run-name contains the run ID, as the README recommends. */
const WORKFLOW = {
  workflows: [
    {
      ...{ path: '.github/workflows/deploy.yml', name: 'Deploy', eventTypes: ['deploy'] },
      runName: (payload: Record<string, unknown>) => `deploy ${payload.run_id}`,
    },
  ],
}
const sentTo = ({ port }: Pick<System, 'port'>, id: string) =>
  port.requests
    .filter(({ path }) => path.startsWith(`/v1/actions/runs/${id}`))
    .map(({ method, body }) => [method, JSON.parse(withoutDelivery(JSON.stringify(body)))])
/** Starts a relay whose repository acme/shop has these workflows, by default none. */
async function open(shop: NewRepository = {}): Promise<System> {
  const relay = await startSystem({ autoRun: true, startTimeout: 600_000, runTimeout: DAY })
  relay.github.addRepository('acme/shop', shop)
  return relay
}
const DAY = 86_400_000
const logs = ({ port }: System, id: string) => port.run(id).logs.map(log => withoutDelivery(log.message))
test('dispatches a delivery once if GitHub accepts it, and Port shows "Waiting for GitHub"', async () => {
  const relay = await open(WORKFLOW)
  const id = await relay.accept('r_1')
  expect(await relay.step()).toBe(1)
  expect(relay.github.requests.map(({ method, path, body }) => ({ method, path, body }))).toEqual([
    {
      method: 'POST',
      path: '/repos/acme/shop/dispatches',
      body: {
        event_type: 'deploy',
        client_payload: {
          run_id: 'r_1',
          action: 'deploy',
          port: {
            ...{ version: 1, delivery: id, kind: 'action_run', inputs: { a: 1 } },
            ...{ operation: null, blueprint: null, entity: null, encrypted: [], event: null },
            ...{ trigger: null, relay: null, truncated: [] },
          },
        },
      },
    },
  ])
  expect(relay.github.requests[0]!.headers.authorization).toBe(`token ${relay.github.token}`)
  expect(await relay.delivery(id)).toMatchObject({ state: 'dispatched', dispatchedAt: expect.any(Number) })
  expect(await relay.step()).toBe(0)

  expect(await relay.send()).toBe(1)
  const page = `${relay.github.serverUrl}/acme/shop/actions`
  expect(sentTo(relay, 'r_1')).toEqual([
    ['PATCH', { statusLabel: 'Waiting for GitHub', link: [page] }],
    ['POST', { message: 'Dispatched "deploy" to acme/shop; waiting for its workflow to start.' }],
  ])
  expect(relay.port.run('r_1')).toMatchObject({ status: 'IN_PROGRESS', statusLabel: 'Waiting for GitHub' })
  expect(await relay.send()).toBe(0)
})

test('a late "Waiting for GitHub" does not overwrite a newer status from the action', async () => {
  const relay = await open()
  for (const id of ['r_1', 'wfnr_1']) await relay.accept(id)
  while ((await relay.step()) > 0) {}
  relay.advance(5000)
  Object.assign(relay.port.run('r_1'), { statusLabel: 'Running', externalRunId: '42' })
  const started = { output: { statusLabel: 'Running' }, externalRunId: '42' }
  Object.assign(relay.port.nodeRun('wfnr_1'), started)
  await relay.send()
  expect(relay.port.run('r_1').statusLabel).toBe('Running')
  expect(relay.port.nodeRun('wfnr_1')).toMatchObject(started)
})

const rejects = (status: number, message?: string) => (relay: System) =>
  void relay.github.fail({ status, body: { message } })
const readOnly = ({ github }: System) =>
  void github.addRepository('acme/shop', { permissions: { contents: 'read', metadata: 'read' } })
const BLOCKED = "Event 'repository_dispatch' is not allowed to trigger Actions workflows."

test.each<[string, (relay: System) => void, RegExp]>([
  [
    'no repository',
    relay => {
      const body = { message: 'Not Found' }
      relay.github.fail({ status: 404, body, times: 2 })
    },
    /^GitHub can't find acme\/shop: it doesn't exist, or the relay's token has no access to it\. /,
  ],
  ['no permission', rejects(404, 'Not Found'), /can read acme\/shop, but .* lacks Contents: write/],
  [
    'no write access',
    readOnly,
    /\(403: Resource not accessible by .*\): .* needs the permission Contents: write/,
  ],
  [
    'a protection',
    rejects(403, BLOCKED),
    /\(403\): a workflow execution protection .* the event repository_dispatch/,
  ],
  [
    'the payload',
    rejects(422, 'client_payload is too large.'),
    /rejected the payload .* \(422: client_payload is too/,
  ],
  ['no message', rejects(410), /rejected the dispatch of "deploy" to acme\/shop \(410: no reason given\)/],
])(
  'if GitHub rejects the dispatch, the Port run fails with an actionable message: %s',
  async (_, arrange, sentence) => {
    const relay = await open()
    arrange(relay)
    const id = await relay.accept('r_1')
    await relay.step()
    const { state, reason, dueAt } = await relay.delivery(id)
    expect({ state, reason, dueAt }).toEqual({
      ...{ state: 'failed', reason: expect.stringMatching(sentence), dueAt: null },
    })
    relay.advance(3_600_000)
    expect(await relay.step()).toBe(0)
    expect(relay.github.requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
    await relay.send()
    const link = [`${relay.github.serverUrl}/acme/shop/actions`]
    expect(sentTo(relay, 'r_1')).toEqual([
      ['POST', { message: reason }],
      ['PATCH', { status: 'FAILURE', statusLabel: 'Not started', summary: reason, link }],
    ])
  },
)

test('if GitHub rejects the credential, the delivery waits until GitHub accepts it', async () => {
  const relay = await open(WORKFLOW)
  relay.github.fail({ status: 401, body: { message: 'Bad credentials' } })
  const id = await relay.accept('r_1')
  await relay.step()
  expect(await relay.delivery(id)).toMatchObject({ state: 'queued', awaitingResponseSince: null })
  relay.advance(30_000)
  await relay.notifyWaiting()
  await relay.send()
  const sentence = 'GitHub rejects GITHUB_TOKEN (401: Bad credentials)'
  expect(logs(relay, 'r_1')).toEqual([expect.stringContaining(sentence)])
  // In the meantime, the relay doesn't use the credential for other deliveries.
  await relay.accept('r_2', 'acme/other')
  await relay.step()
  expect(relay.github.requests).toHaveLength(1)
  relay.advance(60_000)
  await relay.step()
  expect((await relay.delivery(id)).state).toBe('dispatched')
})

test('a relay without credentials for Port does not record what a delivery waits for', async () => {
  const relay = await startSystem({ blind: true })
  relay.github.failures.tooMany(600)
  const id = await relay.accept('r_1')
  await relay.step()
  relay.advance(31_000)
  await relay.notifyWaiting()
  expect(await relay.history(id)).toEqual(['dispatchDeferred'])
})

describe("if GitHub's response was lost", () => {
  const LATE = [1, 33, 115]
  test.each([
    ['a cut connection', ({ github }: System) => void github.failures.cut({ create: false })],
    ['a relay that was killed', null],
  ] as const)(
    '(%s) and the run appears within two minutes, the relay finds the run and does not retry the dispatch',
    async (_, failure) => {
      const relay = await open()
      const lost = []
      for (const seconds of LATE) {
        const repository = `acme/late-${seconds}`
        relay.github.addRepository(repository)
        const id = await relay.accept(`r_${seconds}`, repository)
        failure?.(relay)
        // The killed relay has only recorded its attempt.
        if (failure) await relay.step()
        else
          expect(await relay.store.claimQueued(relay.now(), 1, 1, 'owner:')).toMatchObject([
            { isAttempt: true },
          ])
        const more = { status: 'in_progress', createdAt: iso(relay.now()) } as const
        const run = { repository, displayTitle: `deploy r_${seconds}`, ...more }
        lost.push({ id, run, at: relay.now() + seconds * 1000 })
      }
      for (const { run, at } of lost.toSorted((a, b) => a.at - b.at)) {
        await relay.pass(at - relay.now())
        relay.github.createRun(run)
      }
      await relay.pass(180_000)
      const sent = relay.github.requests.filter(({ method }) => method === 'POST')
      expect(sent).toHaveLength(failure ? LATE.length : 0)
      for (const { id } of lost) {
        expect(await relay.runs(id)).toEqual([[expect.any(Number), 'title']])
        expect(await relay.history(id)).toEqual([...(failure ? ['responseLost'] : []), 'runBound'])
      }
    },
  )

  test("Port's externalRunId shows that the dispatch took effect even if GitHub doesn't show the run", async () => {
    const relay = await open()
    relay.github.failures.cut({ create: true })
    const id = await relay.accept('r_1')
    await relay.step()
    relay.port.run('r_1').externalRunId = '4242'
    relay.advance(2100)
    await relay.step()
    expect((await relay.delivery(id)).state).toBe('dispatched')
    relay.advance(600_000)
    expect(await relay.step()).toBe(0)
    expect(relay.github.requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
  })
})
