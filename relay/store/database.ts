import type { DatabaseClock } from './clock.ts'
import type { NewDelivery, SignatureUse } from './delivery.ts'
import type { Dialect } from './sql/dialect.ts'

/** One SQL statement with its parameters, `?1`, `?2`, …; lists and objects go in as JSON text. */
export interface Statement {
  sql: string
  params: (string | number | null)[]
}

export type Row = Record<string, unknown>

/** A database that stores deliveries. */
export interface Backend {
  dialect: Dialect
  clock: Pick<DatabaseClock, 'now'>
  /**
   * Runs statements in order in one transaction, and resolves with the rows of each once they are safe on
   * disk. Calls made together may share a commit; one that fails undoes only itself.
   */
  run(statements: Statement[]): Promise<Row[][]>
  /**
   * Runs a statement that claims work, and resolves with its rows without waiting for the disk: a claim that is lost
   * with the machine is a lease that nobody has. It is safe with the next change that is, such as a recorded attempt.
   */
  claim(statement: Statement): Promise<Row[]>
  /**
   * Writes a delivery and the use of its signature; resolves once both are safe on disk. Calls made together share a
   * commit.
   *
   * @returns false, and the delivery is not written, when one with its dedupe key exists or the signature was used
   *   before: it may be this one, where the answer to a first attempt was lost
   */
  insert(delivery: NewDelivery, use?: SignatureUse): Promise<boolean>
  /** Calls back when another relay on this database accepted a delivery. */
  onWork(listener: () => void): void
  close(): Promise<void>
}
