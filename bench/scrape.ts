import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import pino from 'pino'
import { readConfig } from '../relay/config/config.ts'
import { createRelay } from '../relay/relay.ts'
import type { Backend } from '../relay/store/database.ts'
import { openBackend } from '../relay/store/open.ts'
import { relayEnvironment } from './relay-environment.ts'
import { type Spread, spread } from './statistics.ts'

const SCRAPES = 200
const TOKEN = randomBytes(16).toString('hex')

/** Number of deliveries by state, a million in total. The number of open deliveries corresponds to a one-day outage. */
const STATES = { finished: 700_000, failed: 100_000, queued: 150_000, dispatched: 25_000, running: 25_000 }
const MESSAGES = 100_000
const STEP = 5_000

/** Measures the time for a complete `/metrics` response, in milliseconds, with a million stored deliveries. */
export async function scrapes(database: string, settle: () => Promise<void>): Promise<Spread> {
  const config = readConfig({ ...relayEnvironment(database), RELAY_VIEW_TOKEN: TOKEN })
  const backend = await openBackend(config.database)
  await fill(backend)
  await backend.close()
  await settle()
  const relay = await createRelay(config, pino({ level: 'silent' }))
  const times: number[] = []
  try {
    // The first scrapes can time out, because the new data isn't in the database's cache yet.
    while (!(await scrape(relay.port))) await sleep(1_000)
    for (let i = 0; i < SCRAPES; i++) {
      const began = performance.now()
      if (!(await scrape(relay.port))) throw new Error("The database didn't respond in time")
      times.push(performance.now() - began)
    }
  } finally {
    await relay.stop()
  }
  return spread(times)
}

/** @returns whether the response contains the metrics from the database */
async function scrape(port: number): Promise<boolean> {
  const headers = { authorization: `Bearer ${TOKEN}` }
  const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers })
  return (await response.text()).includes('port_relay_deliveries{state="failed"} 10000')
}

/** Fills the database as after an outage of GitHub, with deliveries queued in each repository. */
async function fill(backend: Backend): Promise<void> {
  const now = Date.now()
  const due = now + 600_000
  const invocation = readFileSync(new URL('./body.json', import.meta.url), 'utf8')
  for (const [state, amount] of Object.entries(STATES)) {
    const dueAt = state === 'queued' ? now : state === 'finished' || state === 'failed' ? 'NULL' : due
    for (let from = 1; from <= amount; from += STEP) {
      await backend.run([
        {
          sql: `
            INSERT INTO deliveries (id, dedupe_key, sent_as, run_id, kind, repository, event_type, invocation, state,
              received_at, queued_at, updated_at, attempted_at, due_at)
            WITH RECURSIVE n(i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${from + STEP - 1})
            SELECT '${state}' || i, '${state}:' || i, '', 'r_' || i, 'action_run', 'acme/' || (i % 50), 'deploy', ?1,
              '${state}', ${now} - i, ${now} - i, ${now} - i, ${now} - i, ${dueAt} FROM n`,
          params: [invocation],
        },
      ])
    }
  }
  for (let from = 1; from <= MESSAGES; from += STEP) {
    const which = `WITH RECURSIVE n(i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${from + STEP - 1})`
    await backend.run([
      {
        sql: `INSERT INTO outbox (delivery, body, bytes, created_at)
              ${which} SELECT 'queued' || i, '{"log":[]}', 10, ${now} FROM n`,
        params: [],
      },
      {
        sql: `INSERT INTO outboxes (delivery, due_at) ${which} SELECT 'queued' || i, ${due} FROM n`,
        params: [],
      },
    ])
  }
}
