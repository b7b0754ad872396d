/** The version of the schema with which every database starts. Versions 1 to 14 were used during development. */
export const FIRST_VERSION = 15

/**
 * Changes of the schema, in SQLite's SQL. The first one leads to version 16. A migration may add tables, indexes, and
 * columns, and nothing else. The columns must have a default or allow NULL. Relays of the previous version can
 * therefore accept webhooks during a rolling update, which matters because Port doesn't resend a refused webhook. Each
 * migration has a transaction of its own, so it must change only one table: the statements of running relays could lock
 * two tables in the opposite order. A released migration never changes.
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

/** The relay that opens a database, and may upgrade it; null for a command. Without a client ID, the owner isn't checked. */
export type Upgrader = { clientId?: string | null } | null

/** Continues a sentence that starts with the database's name. */
export const ofAnotherOrganization = (owner: string | null, clientId: string | null) =>
  `belongs to the Port organization with the client ID ${owner}, but PORT_CLIENT_ID is ${clientId ?? 'not set'}: correct PORT_CLIENT_ID, or use another database for this organization. https://github.com/org/port-webhook-action/blob/main/docs/database.md shows how to change the stored client ID.`

/** Returns the current version of the schema, which SQLite stores in `user_version`, and PostgreSQL in `relay_schema`. */
export const schemaVersion = (): number => FIRST_VERSION + MIGRATIONS.length

/** Thrown if a relay or a command can't use the database's schema. The message continues a sentence that starts with the database's name. */
export class SchemaRefused extends Error {}

/**
 * Returns the migrations that a database lacks.
 * @param stored the version of its schema, and the client ID of the Port organization to which it belongs
 * @throws SchemaRefused if the database is too new or too old, or if a relay of another organization would upgrade it
 */
export function missingMigrations(
  stored: { version: number; owner: string | null },
  upgrader: Upgrader,
): string[] {
  const { version, owner } = stored
  const own = schemaVersion()
  const has = `has schema version ${version}, and this relay needs version ${own}`
  if (version > own)
    throw new SchemaRefused(
      `${has}: start the newer version of the relay, or restore the backup that you made before its first start.`,
    )
  if (version < FIRST_VERSION)
    throw new SchemaRefused(`${has}: use the version of the relay that created it.`)
  if (version < own && !upgrader)
    throw new SchemaRefused(`${has}: start this version of the relay, which upgrades the database.`)
  const clientId = upgrader?.clientId
  if (version < own && clientId !== undefined && owner !== null && owner !== clientId)
    throw new SchemaRefused(ofAnotherOrganization(owner, clientId))
  return MIGRATIONS.slice(version - FIRST_VERSION)
}
