import { expect, test } from 'vitest'
import { startPostgres } from './support/postgres.ts'

test("a PostgreSQL server that doesn't start fails immediately and shows its output", async () => {
  await expect(startPostgres({ settings: { shared_buffers: 'plenty' } })).rejects.toThrow(
    /\/postgres, run by .*, ended with 1:\n.*invalid value for parameter "shared_buffers": "plenty"/s,
  )
})
