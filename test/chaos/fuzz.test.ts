import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../support/relay.ts'
import { brokenBy, fuzz } from './fuzz.ts'

test('6,000 fuzzed requests cause neither a crash nor a leak, and no 5xx except a deliberate 503', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const database = `sqlite:${join(temporaryFolder(), 'relay.db')}`
  const result = await fuzz({ count: 6_000, seed, rounds: 3, database })
  expect(brokenBy(result), `seed ${seed}: ${result.printed}`).toEqual([])
})
