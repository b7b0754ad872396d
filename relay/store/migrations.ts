/** The version of the schema with which every database starts. Versions 1 to 14 were used during development. */
const FIRST_VERSION = 15

/**
 * Changes of the schema, in SQLite's SQL. The first one leads to version 16. A migration may only add tables, indexes,
 * and columns that have a default or allow NULL. Relays of the previous version can therefore accept webhooks during a
 * rolling update. This matters because Port doesn't resend a refused webhook. A released migration never changes.
 */
export const MIGRATIONS: string[] = [
  // 16: the required entity that Port rejected.
  'ALTER TABLE deliveries ADD COLUMN rejected TEXT',
  // 17: finds dispatches in progress, for claimQueued.
  `CREATE INDEX deliveries_awaiting ON deliveries (repository)
    WHERE state = 'queued' AND awaiting_response_since IS NOT NULL`,
  // 18: the key with which relays sign challenges.
  'ALTER TABLE organization ADD COLUMN challenge_key TEXT',
  // 19: why the messages of a delivery wait. 20: where a freeze was started.
  'ALTER TABLE outboxes ADD COLUMN reason TEXT',
  'ALTER TABLE freezes ADD COLUMN started_by TEXT',
]

/** SQLite's `user_version`, and `relay_schema` in PostgreSQL. */
export const schemaVersion = (): number => FIRST_VERSION + MIGRATIONS.length

/** Thrown if a relay or a command can't use the database's schema. The message continues a sentence that starts with the database's name. */
export class SchemaRefused extends Error {}

/**
 * Returns the migrations that a database with this version lacks.
 * @param migrates whether the caller may change the schema; a command may not
 * @throws SchemaRefused if the database is too new or too old
 */
export function missingMigrations(version: number, migrates: boolean): string[] {
  const own = schemaVersion()
  const has = `has schema version ${version}, and this relay needs version ${own}`
  if (version > own)
    throw new SchemaRefused(
      `${has}: start the newer version of the relay, or restore the backup that you made before its first start.`,
    )
  if (version < FIRST_VERSION)
    throw new SchemaRefused(`${has}: use the version of the relay that created it.`)
  if (version < own && !migrates)
    throw new SchemaRefused(`${has}: start this version of the relay, which upgrades the database.`)
  return MIGRATIONS.slice(version - FIRST_VERSION)
}
