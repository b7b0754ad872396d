import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../support/relay.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { FLOODS, flood } from './floods.ts'
import { MOST_RSS_MB } from './reports.ts'

/** 60 for the whole minute. */
const seconds = Number(process.env.FLOOD_SECONDS ?? 3)

test.each(FLOODS.flatMap(name => ['SQLite', 'PostgreSQL'].map(kind => [name, kind] as const)))(
  'a flood (%s) keeps no honest webhook out, and the relay within its memory (%s)',
  async (name, kind) => {
    const database = kind === 'SQLite' ? `sqlite:${join(temporaryFolder(), 'relay.db')}` : await newDatabase()
    const result = await flood(name, { database, seconds })
    const { webhooks, responses: answers, runsOfOne, peakRssMb } = result
    expect(webhooks.sent).toBeGreaterThan(10)
    expect(webhooks, JSON.stringify(result)).toMatchObject({ served: webhooks.sent, others: {} })
    expect(peakRssMb).toBeLessThan(MOST_RSS_MB)
    // The attack was one.
    expect(answers).toMatchObject(
      {
        starts: { 200: expect.any(Number), 409: expect.any(Number) },
        pipelined: { closed: expect.any(Number) },
        inputs: { 200: expect.any(Number), 429: expect.any(Number) },
        unsigned: { 401: expect.any(Number) },
        keys: { 202: expect.any(Number), 422: expect.any(Number) },
      }[name],
    )
    expect(answers.open).toBeUndefined()
    if (name === 'starts') expect(runsOfOne).toBe(1)
  },
  seconds * 1_000 + 120_000,
)
