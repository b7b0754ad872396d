import { afterAll, expect, test } from 'vitest'
import { newDatabase } from '../support/shared-postgres.ts'
import { shortFaults } from './faults.ts'
import { withSystem } from './system.ts'
import { table, type Verdict } from './verdict.ts'

const verdicts: Verdict[] = []
afterAll(() => console.log(table(verdicts)))

test.concurrent.each(shortFaults(newDatabase))(
  '%s: no delivery is lost, dispatched twice, or reordered',
  async (name, run) => {
    const verdict = await run(name)
    verdicts.push(verdict)
    expect(verdict).toMatchObject({ lost: 0, twice: 0, disordered: 0 })
    if (!name.includes('untitled')) expect(verdict.failed).toBe(0)
    expect(verdict.acknowledged).toBeGreaterThan(0)
    expect(verdict.times).toBeGreaterThan(0)
  },
  180_000,
)

test("a scenario fails immediately, with the relay's output, if its relay exits by itself", async () => {
  const crashing = withSystem({}, async system => {
    await system.relay.start()
    const load = system.load({ count: 100_000, perSecond: 10 })
    process.kill(system.relay.pid, 'SIGABRT')
    await load.done
  })
  await expect(crashing).rejects.toThrow(/^The relay exited by itself with SIGABRT\.[\s\S]*"msg":"/)
  const starting = withSystem({ env: { RELAY_DATABASE: 'nowhere' } }, system => system.relay.start())
  await expect(starting).rejects.toThrow(/^The relay exited: [\s\S]*RELAY_DATABASE/)
})
