/** Where the SQL of the two stores truly differs; everything else is written once. */
export interface Dialect {
  least: string
  greatest: string
  /** Ends a SELECT of rows that the transaction goes on to change: no other may change them meanwhile. */
  lock: string
  /** Ends a SELECT of rows to claim: what another relay is claiming right now is passed over. */
  skipLocked: string
  /** `seq` is one of those that a SELECT finds. The SELECT runs once, so that its LIMIT holds. */
  among(select: string): string
  /** A `seq` behind every other. */
  nextSeq: string
  /** Whether an UPDATE may stand in a WITH. If not, `changes()` counts the rows of the statement before. */
  updateInWith: boolean
}

/** One writer at a time: nothing to lock. */
export const sqlite: Dialect = {
  least: 'min',
  greatest: 'max',
  lock: '',
  skipLocked: '',
  among: select => `seq IN (${select})`,
  nextSeq: '(SELECT max(seq) + 1 FROM deliveries)',
  updateInWith: false,
}

export const postgres: Dialect = {
  least: 'least',
  greatest: 'greatest',
  lock: 'FOR UPDATE',
  skipLocked: 'FOR UPDATE SKIP LOCKED',
  among: select => `seq = ANY (ARRAY(${select}))`,
  nextSeq: `nextval('deliveries_seq_seq')`,
  updateInWith: true,
}
