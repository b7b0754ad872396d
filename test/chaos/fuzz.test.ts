import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../support/relay.ts'
import { fuzz, growth } from './fuzz.ts'

test('6,000 fuzzed requests cause no 5xx except a deliberate 503, no crash, and no leak', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const result = await fuzz({
    count: 6_000,
    seed,
    rounds: 3,
    database: `sqlite:${join(temporaryFolder(), 'relay.db')}`,
  })
  expect(result.broken, `seed ${seed}`).toEqual([])
  expect(result.alive, result.printed).toBe(true)
  expect(growth(result.rounds, 'held'), 'MB').toBeLessThan(20)
  expect(growth(result.rounds, 'rss'), 'MB').toBeLessThan(50)
  // Every check refuses some requests, and some requests pass all checks.
  for (const status of [200, 202, 400, 401, 403, 404, 405, 413, 415, 422]) {
    expect(result.statuses[status], `${status}, seed ${seed}`).toBeGreaterThan(0)
  }
})
