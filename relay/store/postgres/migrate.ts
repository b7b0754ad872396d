import type { ClientBase } from 'pg'
import { MIGRATIONS } from './schema.ts'

/** Any number that no other program locks. */
const LOCK = 0x706f7274

/**
 * Brings the schema up to date, in one transaction under a lock: relays that start together do it once.
 *
 * @throws Error with the reason as a clause, when the schema is newer than this relay
 */
export async function migrate(client: ClientBase): Promise<void> {
  // Whatever the database's own is: what another relay did while this waited for the lock must be seen.
  await client.query(
    `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(${LOCK})`,
  )
  try {
    await client.query('CREATE TABLE IF NOT EXISTS relay_schema (version INTEGER NOT NULL)')
    const { rows } = await client.query<{ version: number }>('SELECT version FROM relay_schema')
    const version = rows[0]?.version ?? 0
    if (version > MIGRATIONS.length) {
      throw new Error(
        `it is of schema version ${version}, and this relay knows up to ${MIGRATIONS.length}: start the newer relay, or restore a backup made before it ran`,
      )
    }
    if (!rows[0]) await client.query('INSERT INTO relay_schema VALUES (0)')
    for (const step of MIGRATIONS.slice(version)) await client.query(step)
    if (version < MIGRATIONS.length)
      await client.query('UPDATE relay_schema SET version = $1', [MIGRATIONS.length])
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}
