import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { MIGRATIONS as OF_POSTGRES } from '../../relay/store/postgres/schema.ts'
import { MIGRATIONS as OF_SQLITE } from '../../relay/store/sqlite/schema.ts'
import type { Address } from './place.ts'

/** A row of the table `deliveries` in schema version 2. Times are milliseconds since 1970. */
export interface LandedDelivery {
  id: string
  run_id: string | null
  kind?: string
  repository: string
  state: string
  at: number
  reason?: string
  attempts?: { at: number; outcome: string }[]
  due_at?: number
  lease?: number
  lease_until?: number
  sent_at?: number
  dispatched_at?: number
  github_run_id?: number
  github_run_attempt?: number
  past_runs?: number[]
  /** Of the table `reports`. */
  messages?: object[]
  tell_tries?: number
  /** Of the table `report_senders`. */
  senders?: Record<string, number>
  invocation?: object
}

/** Writes a database as the relay of schema version 2 left it. */
export async function writeLanded(
  address: Address,
  deliveries: LandedDelivery[],
  { pauses = {}, tokens = 0 }: { pauses?: Record<string, number>; tokens?: number } = {},
): Promise<void> {
  const steps = { sqlite: OF_SQLITE, postgres: OF_POSTGRES }[address.kind].slice(0, 2)
  const version =
    address.kind === 'sqlite'
      ? 'PRAGMA user_version = 2'
      : 'CREATE TABLE relay_schema (version INTEGER NOT NULL); INSERT INTO relay_schema VALUES (2)'
  const rows = [
    ...deliveries.flatMap(inserts),
    ...Object.entries(pauses).map(([scope, until]) => insert('pauses', { scope, until })),
    `UPDATE pace SET tokens = ${tokens}, at = 1000`,
  ]
  await execute(address, [...steps, ...rows, version].join(';\n'))
}

/** Runs SQL beside the relay. */
export async function execute(address: Address, sql: string): Promise<void> {
  if (address.kind === 'sqlite') {
    const database = new DatabaseSync(address.path)
    database.exec(sql)
    return database.close()
  }
  const client = new pg.Client(address.url)
  await client.connect()
  await client.query(sql).finally(() => client.end())
}

function inserts({
  at,
  attempts = [],
  past_runs = [],
  messages = [],
  senders = {},
  ...given
}: LandedDelivery) {
  const { invocation = {}, ...row } = given
  return [
    insert('deliveries', {
      kind: 'action_run',
      action: 'deploy',
      event_type: 'deploy',
      identity: `run:${row.run_id}`,
      ...row,
      received_at: at,
      queued_at: at,
      updated_at: at,
      attempts: JSON.stringify(attempts),
      past_runs: JSON.stringify(past_runs),
      invocation: JSON.stringify(invocation),
      ...(messages.length > 0 && { tell_at: at }),
    }),
    ...messages.map(message =>
      insert('reports', { delivery: row.id, body: JSON.stringify(message), created_at: at }),
    ),
    ...Object.entries(senders).map(([sender, last]) =>
      insert('report_senders', { delivery: row.id, sender, last }),
    ),
  ]
}

function insert(table: string, row: Record<string, string | number | null>): string {
  const values = Object.values(row).map(value =>
    typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value),
  )
  return `INSERT INTO ${table} (${Object.keys(row).join(', ')}) VALUES (${values.join(', ')})`
}
