import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Config } from '../relay/config/config.ts'
import type { Transition } from '../relay/delivery/delivery.ts'
import { deliveryId } from '../relay/intake/verify.ts'
import type { Backend } from '../relay/store/database.ts'
import { openBackend } from '../relay/store/open.ts'
import { createStore } from '../relay/store/store.ts'
import { spread } from './statistics.ts'

const FINISHED = 1_000_000
/** Number of deliveries to accept, and then claim. */
const DELIVERIES = 20_000
const AT_ONCE = 64
const ROUNDS = 6

/** Rates per second. */
export interface Rates {
  intake: number
  claims: number
}

/**
 * Returns the median rates of an empty store, and of a store with a million finished deliveries. The measurements
 * alternate, so that changes in the machine's load affect both stores.
 *
 * @param settle does the maintenance that the database would do itself while a million deliveries arrive
 */
export async function million(
  open: (name: string) => Promise<Config['database']>,
  settle: (database: Config['database']) => Promise<void>,
): Promise<{ empty: Rates; full: Rates }> {
  const databases = { empty: await open('empty'), full: await open('full') }
  const empty = await openBackend(databases.empty)
  const full = await openBackend(databases.full)
  try {
    await fill(full)
    await settle(databases.full)
    const rounds: { empty: Rates; full: Rates }[] = []
    for (let i = 0; i < ROUNDS; i++) {
      const first = i % 2 === 0 ? await measure(empty) : null
      const filled = await measure(full)
      rounds.push({ empty: first ?? (await measure(empty)), full: filled })
    }
    const rates = (of: 'empty' | 'full') => ({
      intake: spread(rounds.map(round => round[of].intake)).median,
      claims: spread(rounds.map(round => round[of].claims)).median,
    })
    return { empty: rates('empty'), full: rates('full') }
  } finally {
    await empty.close()
    await full.close()
  }
}

const invocation = readFileSync(new URL('./body.json', import.meta.url), 'utf8')

async function fill(db: Backend): Promise<void> {
  const now = Date.now()
  for (let done = 0; done < FINISHED; done += 5_000) {
    await Promise.all(
      Array.from({ length: 5_000 }, (_, i) => db.insert(newDelivery(done + i, now - FINISHED + done + i))),
    )
    await db.run([
      {
        sql: `INSERT INTO runs (repository, github_run_id, delivery, attempt, evidence, past, status, conclusion, url)
              SELECT repository, ?1 + seq, id, 1, 'report', 0, 'completed', 'success', '' FROM deliveries WHERE state = 'queued'`,
        params: [16_000_000_000],
      },
      {
        sql: `INSERT INTO events (delivery, number, at, type, details)
              SELECT id, 1, received_at, 'runFinished', '{}' FROM deliveries WHERE state = 'queued'`,
        params: [],
      },
      {
        sql: `UPDATE deliveries SET state = 'finished', due_at = NULL, attempted_at = received_at, events = 1 WHERE state = 'queued'`,
        params: [],
      },
    ])
  }
}

const DISPATCHED: Transition = {
  change: { state: 'dispatched', dueAt: null },
  messages: [],
  history: { type: 'dispatchAccepted', details: { attempt: 1 } },
}

/** Measures one store. Adds deliveries to the store and marks them as finished. */
async function measure(db: Backend): Promise<Rates> {
  const store = createStore(db)
  const now = Date.now()
  const intakeBegun = performance.now()
  let next = 0
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (next < DELIVERIES) await store.accept(newDelivery(next++, now))
    }),
  )
  const intake = DELIVERIES / ((performance.now() - intakeBegun) / 1000)
  const claimsBegun = performance.now()
  let claimed = 0
  while (claimed < DELIVERIES) {
    const deliveries = await store.claimQueued(now + claimed, 60_000, 20, 'owner:')
    claimed += deliveries.length
    await Promise.all(deliveries.map(delivery => store.apply([{ delivery, transition: DISPATCHED }], now)))
  }
  const claims = claimed / ((performance.now() - claimsBegun) / 1000)
  await db.run([
    {
      sql: `UPDATE deliveries SET state = 'finished', due_at = NULL WHERE state IN ('queued', 'dispatched')`,
      params: [],
    },
  ])
  return { intake, claims }
}

const ADDRESS = randomBytes(32).toString('base64url')

/** Creates an accepted delivery with its own run id. Consecutive deliveries go to different repositories. */
export function newDelivery(i: number, receivedAt: number, repositories = 20) {
  const runId = `r_${randomBytes(8).toString('hex')}`
  return {
    id: deliveryId(receivedAt),
    dedupeKey: `run:${runId}`,
    sentAs: `${receivedAt}.${randomBytes(32).toString('base64url')} ${ADDRESS}`,
    signature: null,
    runId,
    kind: 'action_run' as const,
    action: 'deploy',
    repository: `acme/shop-${i % repositories}`,
    eventType: 'deploy',
    workflow: null,
    ref: null,
    invocation,
    receivedAt,
  }
}
