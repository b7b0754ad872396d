import { join } from 'node:path'
import { expect, test } from 'vitest'
import { until } from '../../tools/simulator/http-server.ts'
import { startSystem as startProcess } from '../reports/open-stage.ts'
import { runSql } from '../store/place.ts'
import { startRelay } from '../support/relay.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { startSystem } from '../support/system.ts'

const MINUTE = 60_000
const DAY = 1_440 * MINUTE

/** Starts a system with a running delivery, one without a run, and one whose response was lost. */
async function openThree() {
  const system = await startSystem({ startTimeout: 10 * MINUTE, runTimeout: 3 * 60 * MINUTE })
  const running = await system.dispatch('r_running')
  const run = system.run('deploy r_running', { status: 'in_progress' })
  await system.pass(20_000)
  const waiting = await system.dispatch('r_waiting')
  system.github.failures.serverError({ create: false })
  const lost = await system.dispatch('r_lost')
  await system.pass(5_000)
  const states = async () =>
    Promise.all([running, waiting, lost].map(async id => (await system.delivery(id)).state))
  const dispatches = () => system.github.requests.filter(({ method }) => method === 'POST').length
  expect([await states(), dispatches()]).toEqual([['running', 'dispatched', 'queued'], 3])
  return { system, run, waiting, states, dispatches }
}

test.each([
  ['an hour ahead while the relay runs', 60 * MINUTE, false],
  ['two days behind after a restart', -2 * DAY, true],
])(
  'no delivery ends while the clock is %s, and timeouts count from the correction',
  async (_, ms, restarts) => {
    const { system, run, waiting, states, dispatches } = await openThree()
    const setClock = (by: number) => {
      system.setClock(by)
      if (restarts) system.restart()
    }
    setClock(ms)
    await system.store.repairDueTimes(system.now())
    await system.pass(30 * MINUTE)
    expect([await states(), dispatches()]).toEqual([['running', 'dispatched', 'queued'], 3])
    const side = ms > 0 ? 'ahead of' : 'behind'
    expect(system.timeouts().problem()).toMatch(
      new RegExp(`${side} GitHub's\\. Correct it \\(NTP\\)\\. Until then, no timeout ends a delivery`),
    )

    setClock(-ms)
    await system.store.repairDueTimes(system.now())
    await system.pass(MINUTE)
    expect([await states(), dispatches()]).toEqual([['running', 'dispatched', 'queued'], 3])
    expect(system.timeouts().problem()).toBeNull()
    await system.pass(2 * MINUTE)
    expect([await states(), dispatches()]).toEqual([['running', 'dispatched', 'dispatched'], 4])
    await system.pass(8 * MINUTE)
    expect(await system.delivery(waiting)).toMatchObject({ state: 'failed', outcome: 'not_started' })
    system.end(run, 'success')
    await system.pass(MINUTE)
    expect(system.port.run('r_running').status).toBe('SUCCESS')
  },
)

test('timeouts count again if the difference stays the same for an hour, even if the relay restarts', async () => {
  const { system, states, dispatches } = await openThree()
  system.setClock(2 * DAY)
  system.restart()
  await system.pass(40 * MINUTE)
  system.restart()
  await system.pass(21 * MINUTE)
  expect([await states(), dispatches()]).toEqual([['running', 'dispatched', 'queued'], 3])
  await system.pass(2 * MINUTE)
  expect(dispatches()).toBe(4)
  await system.pass(10 * MINUTE)
  expect(await states()).toEqual(['running', 'failed', 'failed'])
  await system.pass(3 * 60 * MINUTE)
  expect(await states()).toEqual(['failed', 'failed', 'failed'])
})

test('no delivery ends before GitHub’s first response since the start', async () => {
  const { system, states } = await openThree()
  await system.github.stop()
  system.restart()
  system.hub.clockOffset = () => null
  await system.pass(200 * MINUTE)
  expect(await states()).toEqual(['running', 'dispatched', 'queued'])
  expect(system.timeouts().problem()).toMatch(/^GitHub hasn't responded since the start/)
})

test('a relay process on PostgreSQL ends no run because of a wrong clock, and /readyz says what is wrong', async () => {
  const url = await newDatabase()
  // Replaces PostgreSQL's function. The relay reads the time every 30 s, so its own clock is faster.
  const setClock = (ms: number) =>
    runSql(
      { kind: 'postgres', url },
      'CREATE SCHEMA IF NOT EXISTS shifted',
      `CREATE OR REPLACE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql
       AS $$ SELECT pg_catalog.clock_timestamp() + interval '${ms} ms' $$`,
      `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET search_path = shifted, pg_catalog, public`,
    )
  await setClock(0)
  const flags = ['--import', join(import.meta.dirname, '../support/scale-clock.ts')]
  const env = { CLOCK_SCALE: '8', RELAY_TOLERANCE: '20h', RELAY_DATABASE: url }
  const system = await startProcess(env, all => startRelay(all, flags))
  const { portRun } = await system.deliver()
  await until(() => portRun!.statusLabel !== undefined, 'Port is updated')
  await setClock(60 * MINUTE)
  const readiness = async () => (await fetch(`${system.url}/readyz`)).text()
  await until(async () => (await readiness()).includes('no timeout ends a delivery'), 'the relay notices it')
  const polls = () => system.github.requests.filter(({ path }) => path.includes('/actions/runs?')).length
  const before = polls()
  await until(() => polls() > before + 1, 'the relay polls')
  expect(system.relay.log().map(({ msg }) => msg)).toContain('timeouts are suspended: a clock is wrong')
  await setClock(0)
  await until(async () => !(await readiness()).includes('GitHub'), 'the relay notices the correction')
  const corrected = polls()
  await until(() => polls() > corrected, 'the relay polls again')
  expect(portRun!.status).toBe('IN_PROGRESS')
})
