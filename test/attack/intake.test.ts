import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../support/relay.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { besiege, MAY_STAY_MB } from './intake.ts'

test.each(['SQLite', 'PostgreSQL'])(
  'slow senders, senders without a signature and runs of foreign repositories keep nobody out (%s)',
  async kind => {
    // 65 senders at this pace fill the memory for arriving bodies within a second.
    const slow = { connections: 65, bytesPerSecond: 40_000 }
    const database = kind === 'SQLite' ? `sqlite:${join(temporaryFolder(), 'relay.db')}` : await newDatabase()
    const siege = await besiege({ database, seconds: 5, maxBody: 64 * 1024, slow })
    for (const served of [siege.webhooks, siege.github, siege.reports, siege.health]) {
      expect(served.sent).toBeGreaterThan(10)
      expect(served, JSON.stringify(siege)).toMatchObject({ served: served.sent, others: {} })
    }
    expect(siege.heldMb.after - siege.heldMb.before).toBeLessThan(MAY_STAY_MB)
    // The attack was one: bodies were dropped for lack of memory, and refused by their headers.
    expect(siege.attackers).toMatchObject({
      401: expect.any(Number),
      403: expect.any(Number),
      503: expect.any(Number),
    })
  },
  60_000,
)
