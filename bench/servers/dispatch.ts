import pg from 'pg'
import { listen, receiveWith } from './listen.ts'
import { openQueue } from './sqlite-queue.ts'

// What a user might write instead of the relay: persists the webhook, responds, persists the attempt, and dispatches.
const persist = process.env.BENCH_DATABASE?.startsWith('postgres:') ? await openPostgres() : openSqlite()

listen(
  receiveWith(async (runId, body) => {
    await persist(runId, body)
    setImmediate(() => void dispatch(runId, body))
  }),
)

async function dispatch(runId: string, body: string): Promise<void> {
  await persist(`${runId} attempted`, '')
  const response = await fetch(`${process.env.GITHUB_API_URL}/repos/acme/shop/dispatches`, {
    method: 'POST',
    body,
  })
  await response.text()
}

function openSqlite() {
  const { insert } = openQueue()
  return async (runId: string, body: string) => void insert.run(runId, body)
}

async function openPostgres() {
  const pool = new pg.Pool({ connectionString: process.env.BENCH_DATABASE })
  await pool.query(
    'CREATE TABLE queue (id BIGINT GENERATED ALWAYS AS IDENTITY, run_id TEXT UNIQUE NOT NULL, body TEXT)',
  )
  const text = 'INSERT INTO queue (run_id, body) VALUES ($1, $2)'
  return async (...values: [runId: string, body: string]) =>
    void (await pool.query({ name: 'insert', text, values }))
}
