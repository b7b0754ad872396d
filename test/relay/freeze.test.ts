import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { doctor } from '../../cli/doctor.ts'
import { freeze, freezes, unfreeze } from '../../cli/freeze.ts'
import { until } from '../../simulator/http-server.ts'
import { openRelayHere, relayEnv, startServices } from '../support/relay.ts'
import { ADMIN_TOKEN, readPage, send, signIn, VIEW_TOKEN } from '../support/requests.ts'
import { run } from '../support/run-command.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { NEVER, RUN_TIMEOUT, type System, type SystemOptions, startSystem } from '../support/system.ts'

const HOUR = 3_600_000
const MIGRATION = { repositories: 'acme/*', reason: 'Payment migration', since: 1, endsAt: null }

async function open(options?: SystemOptions) {
  const system = await startSystem(options)
  system.github.addRepository('other/web')
  const start = (more: object = {}) => system.engine().freezes.start({ ...MIGRATION, ...more })
  const notify = async () => {
    await system.notifyWaiting()
    await system.send()
  }
  return { ...system, start, notify }
}

const dispatched = ({ github }: Pick<System, 'github'>) =>
  github.dispatches.map(({ clientPayload }) => clientPayload.run_id)

test('frozen deliveries wait without a timeout, with the reason in Port, and delay no other repository; after the freeze, they are dispatched in order', async () => {
  const system = await open()
  const { accept, notify, pass, port, store, history } = system
  await system.dispatch('r_before')
  const runBefore = system.run('deploy r_before', { status: 'in_progress' })
  const ids = [await accept('r_1'), await accept('r_2')]
  const [claimed] = await store.claimQueued(system.now(), 60_000, 1, system.pauses.scope)
  const { id } = await system.start({ endsAt: Date.UTC(2100, 0, 1) })
  // The attempt that was claimed before the freeze doesn't start.
  await system.engine().dispatch(claimed!, NEVER)
  ids.push(await accept('r_3'))
  await accept('r_other', 'other/web')
  await pass(1_000)
  await system.engine().freezes.check()
  await notify()
  expect(dispatched(system)).toEqual(['r_before', 'r_other'])
  for (const run of ['r_1', 'r_2', 'r_3']) {
    const { statusLabel, logs } = port.run(run)
    expect([statusLabel, ...logs.map(({ message }) => message.replace(/ \(delivery.*/, ''))]).toEqual([
      'Frozen: Payment migration',
      'Frozen until 2100-01-01 00:00:00 UTC: Payment migration',
    ])
  }
  system.end(runBefore, 'success')
  await pass(3 * RUN_TIMEOUT)
  expect(port.run('r_before').status).toBe('SUCCESS')
  expect(await store.backlog(system.now())).toMatchObject({ dueSince: { dispatch: null }, frozen: 3 })
  const lines = system.logged.filter(({ message }) => message === 'the delivery is frozen')
  expect(lines.map(({ fields }) => [fields.delivery, fields.reason]).toSorted()).toEqual(
    ids.map(delivery => [delivery, 'Payment migration']),
  )
  expect([await store.stalled(system.now(), 5, ''), await store.nextDue(system.now())]).toMatchObject([
    [],
    { dispatch: null },
  ])

  await system.engine().freezes.end(id, 'release')
  expect((await store.backlog(system.now())).dueSince.dispatch).toBe(system.now())
  // An error of GitHub right after the freeze doesn't exceed RELAY_RUN_TIMEOUT.
  system.github.fail({ status: 503, headers: { 'retry-after': '1' } })
  await pass(120_000)
  expect(dispatched(system)).toEqual(['r_before', 'r_other', 'r_1', 'r_2', 'r_3'])
  const entries = await store.history(ids[1]!)
  expect(entries.slice(0, 2)).toMatchObject([
    { type: 'frozen', details: { reason: 'Payment migration' } },
    { type: 'unfrozen', details: { reason: 'Payment migration' } },
  ])
  expect(await history(ids[2]!)).toEqual(['frozen', 'unfrozen', 'dispatchAccepted'])
  await system.engine().freezes.check()
  expect(await store.freezes()).toEqual([])
})

test('after a freeze, a delivery whose Port run a user finished is not dispatched, unless it was redelivered', async () => {
  const system = await open()
  const failed = await system.dispatch('r_again', 'acme/api')
  const { id } = await system.start()
  const { apply, freezes } = system.engine()
  const ended = await system.accept('r_ended')
  system.advance(1)
  await apply(await system.delivery(failed), { type: 'redelivered' })
  await system.accept('r_open')
  await freezes.check()
  for (const run of ['r_ended', 'r_again']) system.port.endRun(run, 'FAILURE')
  await freezes.end(id, 'release')
  await system.settle()
  expect(dispatched(system)).toEqual(['r_open'])
  expect((await system.delivery(ended)).state).toBe('finished')
  // The relay tried to dispatch the redelivered delivery, but acme/api isn't allowed.
  expect(await system.history(failed)).toEqual([
    'dispatchRejected',
    'redelivered',
    'frozen',
    'unfrozen',
    'dispatchRejected',
  ])
})

const NODE = 'wfnr_A1b2C3d4E5f6G7h8'
const inPort = { match: ({ method }: { method: string }) => method === 'GET' }
type Step = (...given: never[]) => Promise<unknown>
/** Starts a freeze right before a function is called. */
function freezeBefore<K extends string>({ engine }: System, of: Record<K, Step>, name: K) {
  const original = of[name]
  of[name] = async (...given) => {
    await engine().freezes.start(MIGRATION)
    return original(...given)
  }
}

test.each<[string, string, (system: System) => unknown]>([
  ['finished', 'a rate limit', s => s.pauses.pause('acme/shop', s.now() + 5_000, '', 'limit')],
  ['finished', 'an error of Port', s => s.port.fail({ status: 503, times: 3, ...inPort })],
  ['finished', 'a rate limit of Port', s => s.port.fail({ status: 429, ...inPort })],
  ['cancelled', 'a cancellation', s => Object.assign(s.port.nodeRun(NODE), { isCancelling: true })],
  ['queued', 'a freeze that starts while Port is read', s => freezeBefore(s, s.engine().port, 'read')],
  ['queued', 'a freeze that starts while the request is prepared', s => freezeBefore(s, s.hub, 'dispatch')],
])(
  'after a freeze, a delivery becomes %s if its first dispatch is prevented by %s',
  async (state, _, trouble) => {
    const system = await open()
    const id = await system.accept(state === 'cancelled' ? NODE : 'r_1')
    const freeze = await system.start()
    await system.engine().freezes.end(freeze.id, 'release')
    const [claimed] = await system.store.claimQueued(system.now(), 60_000, 1, system.pauses.scope)
    system.advance(2_000)
    if (state === 'finished') system.port.endRun('r_1', 'FAILURE')
    trouble(system)
    await system.engine().dispatch(claimed!, NEVER)
    expect([dispatched(system), (await system.delivery(id)).awaitingResponseSince]).toEqual([[], null])
    await system.pass(20_000)
    expect((await system.delivery(id)).state).toBe(state)
    expect(dispatched(system)).toEqual(state === 'dispatched' ? ['r_1'] : [])
  },
)

test.each([
  ['finds a run', true],
  ['finds no run, and the dispatch waits for the end of the freeze', false],
])('the search after a lost response goes on during a freeze, and %s', async (_, hasRun) => {
  const system = await open({ startTimeout: 600_000, runTimeout: 86_400_000 })
  system.github.failures.serverError({ create: false })
  const id = await system.accept('r_lost')
  await system.step()
  const next = await system.accept('r_next')
  const { id: freezeId } = await system.start()
  if (hasRun) system.run('deploy r_lost')
  await system.pass(180_000)
  await system.engine().freezes.check()
  expect(await system.delivery(id)).toMatchObject(hasRun ? { state: 'running' } : { frozenBy: freezeId })
  expect(await system.delivery(next)).toMatchObject({ state: 'queued', frozenBy: freezeId })
  // The fake GitHub doesn't list the lost dispatch.
  expect(dispatched(system)).toEqual([])
  await system.engine().freezes.end(freezeId, 'release')
  await system.settle()
  expect(dispatched(system)).toEqual(hasRun ? ['r_next'] : ['r_lost', 'r_next'])
})

test('a freeze ends at the set time, but not because of a wrong clock; it survives a restart and applies to bulk redeliveries', async () => {
  const system = await open()
  const ids: string[] = []
  for (let n = 0; n < 30; n++) ids.push(await system.dispatch(`r_${n}`, 'acme/api'))
  await system.start({ endsAt: system.now() + HOUR })
  const { apply } = system.engine()
  for (const id of ids) await apply(await system.delivery(id), { type: 'redelivered' })
  const frozen = async () => {
    const { freezes } = system.engine()
    await system.settle()
    await freezes.check()
    return [(await system.store.backlog(system.now())).frozen, freezes.active().length]
  }
  expect(await frozen()).toEqual([30, 1])
  system.setClock(2 * HOUR)
  expect(await frozen()).toEqual([30, 1])
  system.restart()
  await system.hub.checkCredential()
  expect(await frozen()).toEqual([30, 1])
  system.setClock(-2 * HOUR)
  expect(await frozen()).toEqual([30, 1])
  system.advance(HOUR)
  expect(await frozen()).toEqual([0, 0])
  expect(new Set(await system.history(ids[29]!))).toContain('unfrozen')
})

test('discarding cancels only the frozen deliveries, and Port gets a line about each', async () => {
  const system = await open()
  await system.dispatch('r_running')
  const ids = Array.from({ length: 120 }, (_, n) => `r_${n}`)
  for (const id of ids) await system.accept(id)
  const late = await system.accept('r_late')
  const { id } = await system.start()
  const { freezes } = system.engine()
  const { frozenBy } = system.store
  // The workflow of a lost dispatch appears after the read.
  system.store.frozenBy = async (...given) => {
    const found = await frozenBy(...given)
    if (found.some(delivery => delivery.id === late)) await system.bind(late, system.run('deploy r_late').id)
    return found
  }
  await freezes.end(id, 'discard')
  expect(await system.store.findWaiting(system.now(), system.now(), 50, '')).toEqual([])
  await system.accept('r_later')
  for (let round = 0; round < 3; round++) await freezes.check()
  await system.settle()
  expect(dispatched(system)).toEqual(['r_running', 'r_later'])
  expect(system.port.run('r_running').status).toBe('IN_PROGRESS')
  expect(await system.delivery(late)).toMatchObject({ state: 'running', cancelRequestedAt: null })
  for (const each of ids) {
    const { status, statusLabel, logs } = system.port.run(each)
    expect([status, statusLabel]).toEqual(['FAILURE', 'Canceled'])
    expect(logs[0]!.message).toContain(
      'An operator canceled the frozen deliveries (Frozen: Payment migration).',
    )
  }
})

test("a freeze of another relay doesn't apply to a delivery whose dispatch is in flight", async () => {
  const system = await open()
  const [id, next] = [await system.accept('r_1'), await system.accept('r_2')]
  const relay = system.engine()
  system.restart()
  const { dispatch } = system.hub
  system.hub.dispatch = async (...given) => {
    const outcome = await dispatch(...given)
    await system.start()
    return outcome
  }
  const [claimed] = await system.store.claimQueued(system.now(), 60_000, 1, system.pauses.scope)
  await relay.dispatch(claimed!, NEVER)
  expect(dispatched(system)).toEqual(['r_1'])
  expect(await system.delivery(id)).toMatchObject({ state: 'dispatched', frozenBy: 0, reason: null })
  expect([await system.history(id), await system.history(next)]).toEqual([['dispatchAccepted'], ['frozen']])
})

test('after a freeze that was longer than RELAY_RUN_TIMEOUT, errors of GitHub are retried for RELAY_RUN_TIMEOUT again', async () => {
  const system = await open()
  const id = await system.accept('r_1')
  const freeze = await system.start()
  await system.pass(3 * RUN_TIMEOUT)
  await system.engine().freezes.end(freeze.id, 'release')
  // The second error occurs after RELAY_START_TIMEOUT, which counts from the first attempt.
  system.github.fail({ status: 429, headers: { 'retry-after': '70' }, times: 2 })
  await system.pass(180_000)
  expect(await system.history(id)).toEqual([
    ...['frozen', 'unfrozen', 'dispatchDeferred', 'dispatchDeferred', 'dispatchAccepted'],
  ])
})

test('before the relay ends a freeze at the set time, it asks GitHub for the time again', async () => {
  const system = await open()
  const { hub } = system
  const { clockOffset, checkCredential } = hub
  await hub.checkCredential()
  let known = clockOffset()
  hub.clockOffset = () => known
  hub.checkCredential = async () => {
    await checkCredential()
    known = clockOffset()
  }
  system.restart()
  await system.accept('r_1')
  await system.start({ endsAt: system.now() + HOUR })
  const check = async () => {
    await system.engine().freezes.check()
    return system.engine().freezes.active().length
  }
  system.setClock(2 * HOUR)
  expect(await check()).toBe(1)
  system.setClock(-2 * HOUR)
  await hub.checkCredential()
  expect(await check()).toBe(1)
  system.advance(HOUR)
  expect(await check()).toBe(0)
})

test('a claim shows freezes of other relays, so a dispatch reads no freezes', async () => {
  const system = await open()
  const read = vi.spyOn(system.store, 'freezes')
  await system.store.addFreeze({ ...MIGRATION, repositories: 'other/*' })
  const { id } = await system.store.addFreeze(MIGRATION)
  await system.accept('r_1')
  await system.pass(10_000)
  expect(dispatched(system)).toEqual([])
  await system.store.endFreeze(id, 'release')
  await system.pass(2_000)
  expect(dispatched(system)).toEqual(['r_1'])
  expect(read).not.toHaveBeenCalled()
})

test('a freeze that another relay has ended delays no dispatch', async () => {
  const system = await open()
  const { id } = await system.start()
  await system.store.endFreeze(id, 'release')
  await system.accept('r_1')
  await system.step()
  expect(dispatched(system)).toEqual(['r_1'])
})

const RELAY_ADMIN_TOKEN = ADMIN_TOKEN

test('relays immediately obey freezes that commands start through another relay, even after a restart', async () => {
  const { port, github, env: services } = await startServices()
  github.addRepository('acme/shop')
  const settings = { RELAY_ADMIN_TOKEN, RELAY_DISPATCH_RATE: '0', RELAY_DATABASE: await newDatabase() }
  const openRelay = () => openRelayHere(relayEnv({ ...services, ...settings }))
  let relay = await openRelay()
  const other = await openRelay()
  const env = { RELAY_ADMIN_TOKEN, RELAY_PUBLIC_URL: relay.url }
  const webhook = (id: string, path = '/webhook') => {
    port.createRun({ id })
    return send(other.url, { path, body: { run: { id }, inputs: {} } })
  }
  const started = await run(freeze, ['acme/*', '--reason', 'Sale week', '--until', '2100-12-01T08:00Z'], env)
  expect(started.stderr).toBe('')
  expect(started.stdout).toBe('Freeze 1 of acme/* until 2100-12-01T08:00:00.000Z: Sale week. Deliveries: 0')
  expect(await webhook('r_1', '/webhook?wait=dispatch')).toMatchObject({
    status: 202,
    body: { state: 'queued' },
  })
  await webhook('r_2')
  await until(() => port.run('r_2').statusLabel === 'Frozen: Sale week', 'Port shows the freeze')
  const found = await run(doctor, [], {
    ...relayEnv({ ...services, ...settings }),
    RELAY_PUBLIC_URL: relay.url,
  })
  expect(found.stdout).toMatch(/acme\/\* has been frozen since .*: Sale week\. .* run unfreeze 1\.\n/)
  await run(freeze, ['acme/shop', '--reason', 'Incident', '--json'], env)
  const listed = async () => JSON.parse((await run(freezes, ['--json'], env)).stdout).freezes
  expect(await listed()).toMatchObject([
    {
      id: 1,
      repositories: 'acme/*',
      reason: 'Sale week',
      until: '2100-12-01T08:00:00.000Z',
      deliveries: 2,
    },
    { id: 2, repositories: 'acme/shop', reason: 'Incident', until: null, deliveries: 0 },
  ])
  const { checks } = (await (await fetch(`${relay.url}/readyz`)).json()) as { checks: object }
  expect(checks).toMatchObject({ freezes: { ok: true, detail: 'Active deploy freezes: 2.' } })
  await run(unfreeze, ['1'], env)
  await until(() => port.run('r_2').statusLabel === 'Frozen: Incident', 'Port shows the other freeze')
  await relay.stop()
  relay = await openRelay()
  await sleep(1_100)
  expect(github.dispatches).toEqual([])
  const again = { RELAY_ADMIN_TOKEN, RELAY_PUBLIC_URL: relay.url }
  expect((await run(unfreeze, ['9'], again)).stderr).toContain('There is no active freeze 9')
  expect((await run(unfreeze, ['2'], again)).stdout).toContain('Freeze 2 has ended')
  await until(() => github.dispatches.length === 2, 'both are dispatched')
  expect(dispatched({ github } as System)).toEqual(['r_1', 'r_2'])
  expect(relay.log().filter(({ msg }) => msg === 'a deploy freeze ended')).toMatchObject([{ freeze: 2 }])
  expect((await run(freezes, [], again)).stdout).toBe('No freeze is active.')
  const timed = await run(freeze, ['acme/none', '--reason', 'x', '--until', '4h', '--json'], again)
  expect(Date.parse(JSON.parse(timed.stdout).until) - Date.now()).toBeCloseTo(4 * 3_600_000, -5)
})

test('administrators can freeze deliveries on the dashboard', async () => {
  const tokens = { RELAY_ADMIN_TOKEN, RELAY_VIEW_TOKEN: VIEW_TOKEN }
  const { url, log } = await openRelayHere(relayEnv(tokens))
  const post = (path: string, form: Record<string, string>, cookie = '') =>
    fetch(url + path, {
      method: 'POST',
      body: new URLSearchParams(form),
      headers: { cookie },
      redirect: 'manual',
    })
  const open = async (token: string) => {
    const cookie = await signIn(url, token)
    const page = () => readPage(`${url}/freezes`, cookie)
    return { cookie, page, csrf: /name="csrf" value="([^"]+)"/.exec(await page())![1]! }
  }
  const [admin, viewer] = await Promise.all(Object.values(tokens).map(open))
  const form = { repositories: 'acme/*', reason: 'Sale <week>', until: '2100-12-01T08:00' }
  expect((await post('/freezes', { ...form, csrf: admin!.csrf }, admin!.cookie)).status).toBe(303)
  expect(await admin!.page()).toMatch(
    /acme\/\*: Sale &lt;week&gt;.*0 deliveries frozen\. Started on the dashboard\. .*until <time datetime="2100-12-01T08:00/s,
  )
  expect(await viewer!.page()).toContain('acme/*')
  expect(await viewer!.page()).not.toContain('action="/freezes')
  expect((await post('/freezes/1', { csrf: viewer!.csrf }, viewer!.cookie)).status).toBe(403)
  expect((await post('/freezes/1', { csrf: admin!.csrf }, admin!.cookie)).status).toBe(303)
  expect(await admin!.page()).not.toContain('acme/*:')
  expect(
    log()
      .filter(({ path }) => path === '/freezes/1')
      .map(({ role, status }) => [role, status]),
  ).toEqual([
    ['view', 403],
    ['admin', 303],
  ])
})
