import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import pino from 'pino'
import { readConfig } from '../relay/config/config.ts'
import type { Transition } from '../relay/delivery/delivery.ts'
import { deliveryId } from '../relay/intake/verify.ts'
import { createRelay } from '../relay/relay.ts'
import type { Backend } from '../relay/store/database.ts'
import { openBackend } from '../relay/store/open.ts'
import { createStore } from '../relay/store/store.ts'
import { relayEnvironment } from './relay-environment.ts'
import { spread } from './statistics.ts'

const STORED = 1_000_000
/** Number of deliveries to accept, and then claim. */
const DELIVERIES = 20_000
const AT_ONCE = 64
const ROUNDS = 6
const REQUESTS = 21
const STEP = 20_000
const TOKEN = randomBytes(16).toString('hex')

export interface Million {
  /** Median rates per second of an empty store, and of a store with a million finished deliveries. */
  rates: Record<keyof Rates, { empty: number; full: number }>
  /** Median time until the complete response has arrived over a socket, in milliseconds, by request. */
  times: Record<string, number>
}

interface Rates {
  intake: number
  claims: number
}

/**
 * Measures a store with a million deliveries. The rates of the full store and of an empty store alternate, so that
 * changes in the machine's load affect both.
 *
 * @param createDatabase returns a value of `RELAY_DATABASE`
 * @param settle does the maintenance that the database itself would do if a million deliveries arrived over time
 */
export async function million(
  createDatabase: (name: string) => Promise<string>,
  settle: (database: string) => Promise<void>,
): Promise<Million> {
  const database = await createDatabase('full')
  const config = readConfig({ ...relayEnvironment(database), RELAY_ADMIN_TOKEN: TOKEN })
  const empty = await openBackend(readConfig(relayEnvironment(await createDatabase('empty'))).database)
  const full = await openBackend(config.database)
  const rounds: { empty: Rates; full: Rates }[] = []
  try {
    await fillStore(full, STORED)
    await settle(database)
    for (let i = 0; i < ROUNDS; i++) {
      const first = i % 2 === 0 ? await measure(empty) : null
      const filled = await measure(full)
      rounds.push({ empty: first ?? (await measure(empty)), full: filled })
    }
  } finally {
    await empty.close()
    await full.close()
  }
  const rates = (rate: keyof Rates) => ({
    empty: spread(rounds.map(round => round.empty[rate])).median,
    full: spread(rounds.map(round => round.full[rate])).median,
  })
  const times = await measureRequests(config)
  const opened = await openBackend(config.database)
  await opened.run([
    {
      sql: `UPDATE deliveries SET state = 'queued', outcome = '', due_at = ?1 WHERE seq % 4 = 0`,
      params: [Date.now() + 3_600_000],
    },
  ])
  await opened.close()
  await settle(database)
  const outage = await measureRequests(config, { 'metrics after an outage, with 250,000 queued': '/metrics' })
  return { rates: { intake: rates('intake'), claims: rates('claims') }, times: { ...times, ...outage } }
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

const MIDDLE = STORED / 2
const LISTS = {
  'API: newest': '/api/deliveries',
  'API: a page in the middle': `/api/deliveries?before=${MIDDLE}&limit=200`,
  'API: failed': '/api/deliveries?state=failed',
  'API: a repository': '/api/deliveries?repository=acme/r7',
  'API: an action that is rare': '/api/deliveries?action=none&state=finished',
  'API: the last hour': '/api/deliveries?since=1h',
  'API: failed in the last day': '/api/deliveries?state=failed&since=24h',
  'API: a run': `/api/deliveries?run_id=r_${(MIDDLE * 2_654_435_761) % 2 ** 32}`,
  'API: one with its history': `/api/deliveries/d${MIDDLE}`,
  'dashboard: list': '/',
  'dashboard: failed in the last week': '/?state=failed&since=7d',
  'dashboard: timeline': `/deliveries/d${MIDDLE}`,
}

/** Measures a relay's requests. The first responses aren't counted, because the data isn't in the database's cache yet. */
async function measureRequests(
  config: Parameters<typeof createRelay>[0],
  requests: Record<string, string> = LISTS,
): Promise<Record<string, number>> {
  const relay = await createRelay(config, pino({ level: 'silent' }))
  const url = `http://127.0.0.1:${relay.port}`
  try {
    const form = new URLSearchParams({ token: TOKEN })
    const signed = await fetch(`${url}/sign-in`, { method: 'POST', body: form, redirect: 'manual' })
    const cookie = signed.headers.getSetCookie()[0]!.split(';')[0]!
    const headers = { authorization: `Bearer ${TOKEN}`, cookie }
    const times: Record<string, number> = {}
    for (const [name, path] of Object.entries(requests)) {
      const each: number[] = []
      for (let i = -5; i < REQUESTS; i++) {
        const began = performance.now()
        const response = await fetch(url + path, { headers })
        const text = await response.text()
        // If these metrics are missing, the database didn't respond in time.
        const isComplete = path !== '/metrics' || text.includes('port_relay_deliveries{')
        if (i >= 0 && !(response.ok && isComplete)) throw new Error(`${path} returned ${response.status}`)
        if (i >= 0) each.push(performance.now() - began)
      }
      times[name] = spread(each).median
    }
    return times
  } finally {
    await relay.stop()
  }
}

const invocation = readFileSync(new URL('./body.json', import.meta.url), 'utf8')

/** Inserts deliveries of the last thirty days, each with a run and two events. One in fifty has failed. */
export async function fillStore(backend: Backend, amount: number): Promise<void> {
  const now = Date.now()
  const apart = Math.floor((30 * 86_400_000) / amount)
  for (let from = 1; from <= amount; from += STEP) {
    const numbers = `WITH RECURSIVE n(i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${from + STEP - 1})`
    const time = `${now} - CAST(${amount} - i AS BIGINT) * ${apart}`
    // In the index on dedupe keys, these IDs are in random order, like Port's IDs.
    const runId = `'r_' || (CAST(i AS BIGINT) * 2654435761 % 4294967296)`
    const event = (number: number, type: string, details: object) => ({
      sql: `INSERT INTO events (delivery, number, at, type, details)
            ${numbers} SELECT 'd' || i, ${number}, ${time}, '${type}', '${JSON.stringify(details)}' FROM n`,
      params: [],
    })
    await backend.run([
      {
        sql: `
          INSERT INTO deliveries (id, dedupe_key, sent_as, run_id, kind, action, repository, event_type, invocation, state, outcome,
            received_at, queued_at, updated_at, attempted_at, events, reason)
          ${numbers}
          SELECT 'd' || i, 'run:' || ${runId}, '', ${runId}, 'action_run', 'deploy', 'acme/r' || (i % 50), 'deploy', ?1,
            CASE WHEN i % 50 = 0 THEN 'failed' ELSE 'finished' END,
            CASE WHEN i % 50 = 0 THEN 'not_started' ELSE 'succeeded' END, ${time}, ${time}, ${time}, ${time}, 2, NULL FROM n`,
        params: [invocation],
      },
      {
        sql: `
          INSERT INTO runs (repository, github_run_id, delivery, attempt, evidence, past, status, conclusion, url)
          ${numbers} SELECT 'acme/r' || (i % 50), i, 'd' || i, 1, 'report', 0, 'completed', 'success', '' FROM n`,
        params: [],
      },
      event(1, 'dispatchAccepted', { attempt: 1 }),
      event(2, 'runFinished', { conclusion: 'success' }),
    ])
  }
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
