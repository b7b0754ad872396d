import { expect, test } from 'vitest'
import { newDatabase } from '../support/shared-postgres.ts'
import { faultsIn } from './faults.ts'

test.concurrent.each(faultsIn('short', newDatabase))(
  '%s: no delivery is lost, dispatched twice, or reordered',
  async (name, run, allowed) => {
    const verdict = await run(name)
    expect(verdict).toMatchObject({ lost: 0, twice: 0, disordered: 0 })
    if (!allowed?.failed) expect(verdict.failed).toBe(0)
    expect(verdict.acknowledged).toBeGreaterThan(0)
    expect(verdict.times).toBeGreaterThan(0)
  },
  180_000,
)
