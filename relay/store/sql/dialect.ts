/** Where the SQL of the two stores differs; everything else is written once. */
export interface Dialect {
  least: string
  greatest: string
  /** Ends a SELECT of rows to claim: rows that another relay is claiming right now are passed over. */
  skipLocked: string
  /** Keeps others that lock the number `?1` waiting until the transaction ends; null where nothing runs beside it. */
  lockNumber: string | null
  /** A column is one of what a SELECT finds. The SELECT runs once, so that its LIMIT holds. */
  among(column: string, select: string): string
  /** A `seq` behind every other. */
  nextSeq: string
  /** The owner of a repository's name. */
  owner(repository: string): string
  /** A JSON array, as text, of objects with these keys and columns. */
  jsonRows(fields: Record<string, string>, from: string): string
}

/**
 * A condition on the state of a row that is found by its id or `seq`, in a form that fits no index: PostgreSQL, with
 * statistics of an hour in which nothing waited, would take such an index for empty and go through all that waits now.
 */
export const stateIs = (...states: string[]) => `state || '' IN (${states.join(', ')})`

const pairs = (fields: Record<string, string>) =>
  Object.entries(fields)
    .map(([key, column]) => `'${key}', ${column}`)
    .join(', ')

/** One writer at a time: nothing to lock. */
export const sqlite: Dialect = {
  least: 'min',
  greatest: 'max',
  skipLocked: '',
  lockNumber: null,
  among: (column, select) => `${column} IN (${select})`,
  nextSeq: '(SELECT max(seq) + 1 FROM deliveries)',
  owner: repository => `substr(${repository}, 1, instr(${repository}, '/') - 1)`,
  jsonRows: (fields, from) => `(SELECT json_group_array(json_object(${pairs(fields)})) FROM ${from})`,
}

export const postgres: Dialect = {
  least: 'least',
  greatest: 'greatest',
  skipLocked: 'FOR UPDATE SKIP LOCKED',
  lockNumber: 'SELECT pg_advisory_xact_lock(?1)',
  among: (column, select) => `${column} = ANY (ARRAY(${select}))`,
  nextSeq: `nextval('deliveries_seq_seq')`,
  owner: repository => `split_part(${repository}, '/', 1)`,
  jsonRows: (fields, from) =>
    `(SELECT CAST(coalesce(json_agg(json_build_object(${pairs(fields)})), '[]') AS TEXT) FROM ${from})`,
}
