import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import pino from 'pino'
import { readConfig } from '../relay/config/config.ts'
import { createRelay } from '../relay/relay.ts'
import type { Backend } from '../relay/store/database.ts'
import { openBackend } from '../relay/store/open.ts'
import { relayEnvironment } from './relay-environment.ts'
import { spread } from './statistics.ts'

const TOKEN = randomBytes(16).toString('hex')
const ROUNDS = 21
const STEP = 20_000

/** Median time until the complete response has arrived over a socket, in milliseconds, by request. */
export type ListTimes = Record<string, number>

/** Measures requests for lists and for one delivery, in the API and the dashboard, with `amount` stored deliveries. */
export async function lists(
  database: string,
  amount: number,
  settle: () => Promise<void>,
): Promise<ListTimes> {
  const config = readConfig({ ...relayEnvironment(database), RELAY_ADMIN_TOKEN: TOKEN })
  await fillStore(await openBackend(config.database), amount)
  await settle()
  const relay = await createRelay(config, pino({ level: 'silent' }))
  const url = `http://127.0.0.1:${relay.port}`
  try {
    const form = new URLSearchParams({ token: TOKEN })
    const signed = await fetch(`${url}/sign-in`, { method: 'POST', body: form, redirect: 'manual' })
    const headers = {
      authorization: `Bearer ${TOKEN}`,
      cookie: signed.headers.getSetCookie()[0]!.split(';')[0]!,
    }
    const middle = `d${Math.floor(amount / 2)}`
    const asked = {
      'API: newest': '/api/deliveries',
      'API: a page in the middle': `/api/deliveries?before=${Math.floor(amount / 2)}&limit=200`,
      'API: failed': '/api/deliveries?state=failed',
      'API: a repository': '/api/deliveries?repository=acme/r7',
      'API: an action that is rare': '/api/deliveries?action=none&state=finished',
      'API: the last hour': '/api/deliveries?since=1h',
      'API: failed in the last day': '/api/deliveries?state=failed&since=24h',
      'API: a run': `/api/deliveries?run_id=r_${Math.floor(amount / 3)}`,
      'API: one with its history': `/api/deliveries/${middle}`,
      'dashboard: list': '/',
      'dashboard: failed in the last week': '/?state=failed&since=7d',
      'dashboard: timeline': `/deliveries/${middle}`,
    }
    const times: ListTimes = {}
    for (const [name, path] of Object.entries(asked)) {
      const each: number[] = []
      for (let i = 0; i < ROUNDS; i++) {
        const began = performance.now()
        const response = await fetch(url + path, { headers })
        await response.arrayBuffer()
        if (!response.ok) throw new Error(`${path} returned ${response.status}`)
        each.push(performance.now() - began)
      }
      times[name] = spread(each).median
    }
    return times
  } finally {
    await relay.stop()
  }
}

/** Inserts deliveries of the last thirty days, each with a run and two events. One in fifty has failed. */
export async function fillStore(backend: Backend, amount: number): Promise<void> {
  const invocation = readFileSync(new URL('./body.json', import.meta.url), 'utf8')
  const now = Date.now()
  const apart = Math.floor((30 * 86_400_000) / amount)
  for (let from = 1; from <= amount; from += STEP) {
    const numbers = `WITH RECURSIVE n(i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${from + STEP - 1})`
    const time = `${now} - CAST(${amount} - i AS BIGINT) * ${apart}`
    await backend.run([
      {
        sql: `
          INSERT INTO deliveries (id, dedupe_key, sent_as, run_id, kind, action, repository, event_type, invocation, state, outcome,
            received_at, queued_at, updated_at, attempted_at, events, reason)
          ${numbers}
          SELECT 'd' || i, 'run:r_' || i, '', 'r_' || i, 'action_run', 'deploy', 'acme/r' || (i % 50), 'deploy', ?1,
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
      {
        sql: `INSERT INTO events (delivery, number, at, type, details)
              ${numbers} SELECT 'd' || i, 1, ${time}, 'dispatchAccepted', '{"attempt":1}' FROM n`,
        params: [],
      },
      {
        sql: `INSERT INTO events (delivery, number, at, type, details)
              ${numbers} SELECT 'd' || i, 2, ${time}, 'runFinished', '{"conclusion":"success"}' FROM n`,
        params: [],
      },
    ])
  }
  await backend.close()
}
