import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'

/** Less than a query may take. */
const ANSWER_MS = 10_000

/** A pooler in between loses prepared statements. */
export class PoolerRefused extends Error {
  constructor(cause: unknown) {
    super(
      'RELAY_DATABASE leads through a connection pooler that gives each transaction another connection and keeps no prepared statements. Let the relay connect to PostgreSQL directly, set the pooler to session mode, or let it keep prepared statements (PgBouncer: max_prepared_statements).',
      { cause },
    )
    this.name = 'PoolerRefused'
  }
}

/**
 * Uses a prepared statement again and again: a pooler that hands out one connection after the other gives the second
 * use another one, and one that hands out the connection used last the third, while a transaction holds that.
 *
 * @throws PoolerRefused where a later use fails
 */
export async function checkPreparedStatements(connect: () => Client): Promise<void> {
  const [user, other] = [connect(), connect()]
  // A name of its own: what an earlier start prepared is still on the pooler's connections.
  const check = { name: `relay_start_${randomUUID()}`, text: 'SELECT 1' }
  for (const client of [user, other]) client.on('error', () => {})
  try {
    await Promise.all([user.connect(), other.connect()])
    await user.query(check)
    await user.query(check)
    await other.query('BEGIN')
    await inTime(user.query(check))
  } catch (error) {
    const { code } = error as { code?: string }
    // 26000: there is no such prepared statement. 42P05: there is one of that name already. https://www.postgresql.org/docs/current/errcodes-appendix.html
    if (code === '26000' || code === '42P05' || error instanceof NoAnswer) throw new PoolerRefused(error)
    throw error
  } finally {
    await Promise.all([user, other].map(client => client.end().catch(() => {})))
  }
}

/** A pooler with a single connection lets the second use wait. */
class NoAnswer extends Error {}

const inTime = (query: Promise<unknown>) =>
  Promise.race([
    query,
    sleep(ANSWER_MS, undefined, { ref: false }).then(() => Promise.reject(new NoAnswer('no answer'))),
  ])
