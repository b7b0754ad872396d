import { hash } from 'node:crypto'
import type { QueryConfig } from 'pg'

type Value = string | number | null

/** A statement, whose parameters may be lists. */
export interface PostgresQuery {
  sql: string
  params: (Value | Value[])[]
}

const prepared = new Map<string, { name: string; text: string }>()

/**
 * A statement as the driver takes it: `$1` for `?1`, and prepared once a connection. Its name comes from its
 * text, since a pooler in between may hand a connection on.
 */
export function toQuery({ sql, params }: PostgresQuery): QueryConfig {
  let known = prepared.get(sql)
  if (!known) {
    const text = sql.replace(/\?(\d+)/g, '$$$1')
    known = { name: `relay_${hash('sha1', text, 'hex').slice(0, 20)}`, text }
    prepared.set(sql, known)
  }
  return { ...known, values: params.map(value => (Array.isArray(value) ? value.map(clean) : clean(value))) }
}

/** PostgreSQL keeps no NUL in text, and refuses the whole statement: https://www.postgresql.org/docs/current/datatype-character.html */
const clean = (value: Value) =>
  typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\ufffd') : value
