/** Where the SQL of the two stores truly differs; everything else is written once. */
export interface Dialect {
  least: string
  greatest: string
  /** Ends a SELECT of rows that the transaction goes on to change: no other may change them meanwhile. */
  lock: string
  /** Ends a SELECT of rows to claim: what another relay is claiming right now is passed over. */
  skipLocked: string
  /** Keeps others that lock the number `?1` waiting until the transaction ends; null where nothing runs beside it. */
  lockNumber: string | null
  /** `seq` is one of those that a SELECT finds. The SELECT runs once, so that its LIMIT holds. */
  among(select: string): string
  /** A `seq` behind every other. */
  nextSeq: string
  /** The owner of a repository's name. */
  owner(repository: string): string
  /** Whether an UPDATE may stand in a WITH. If not, `changes()` counts the rows of the statement before. */
  updateInWith: boolean
}

/**
 * A condition on the state of a row that is found by its id or `seq`, in a form that fits no index: PostgreSQL, with
 * statistics of an hour in which nothing waited, would take such an index for empty and go through all that waits now.
 */
export const stateIs = (...states: string[]) => `state || '' IN (${states.join(', ')})`

/** One writer at a time: nothing to lock. */
export const sqlite: Dialect = {
  least: 'min',
  greatest: 'max',
  lock: '',
  skipLocked: '',
  lockNumber: null,
  among: select => `seq IN (${select})`,
  nextSeq: '(SELECT max(seq) + 1 FROM deliveries)',
  owner: repository => `substr(${repository}, 1, instr(${repository}, '/') - 1)`,
  updateInWith: false,
}

export const postgres: Dialect = {
  least: 'least',
  greatest: 'greatest',
  lock: 'FOR UPDATE',
  skipLocked: 'FOR UPDATE SKIP LOCKED',
  lockNumber: 'SELECT pg_advisory_xact_lock(?1)',
  among: select => `seq = ANY (ARRAY(${select}))`,
  nextSeq: `nextval('deliveries_seq_seq')`,
  owner: repository => `split_part(${repository}, '/', 1)`,
  updateInWith: true,
}
