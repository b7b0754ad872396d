import { expect, test } from 'vitest'
import { startPostgres } from './support/postgres.ts'

test("a PostgreSQL that doesn't start fails at once, with what it printed", async () => {
  await expect(startPostgres({ settings: { shared_buffers: 'plenty' } })).rejects.toThrow(
    /\/postgres, run by .*, ended with 1:\n.*invalid value for parameter "shared_buffers": "plenty"/s,
  )
})
