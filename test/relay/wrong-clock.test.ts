import { expect, test } from 'vitest'
import { startSystem } from '../support/system.ts'

const MINUTE = 60_000
const DAY = 1_440 * MINUTE

/** Starts a system with a running delivery, one without a run, and one whose response was lost. */
async function openThree() {
  const system = await startSystem({ startTimeout: 10 * MINUTE, runTimeout: 60 * MINUTE })
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
      new RegExp(
        `${side} GitHub's\\. Synchronize it with NTP\\. Until the clocks agree, no delivery times out`,
      ),
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

test('timeouts count again after the clock difference has stayed the same for an hour, even if the relay restarts', async () => {
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
  await system.pass(60 * MINUTE)
  expect(await states()).toEqual(['failed', 'failed', 'failed'])
})

test('no delivery ends before GitHub’s first response since the start', async () => {
  const { system, states } = await openThree()
  await system.github.stop()
  system.restart()
  system.hub.clockOffset = () => null
  await system.pass(70 * MINUTE)
  expect(await states()).toEqual(['running', 'dispatched', 'queued'])
})
