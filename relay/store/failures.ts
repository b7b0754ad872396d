/** Thrown by the store if a call to the database fails. The call may have taken effect. */
export class DatabaseError extends Error {}

/** Why a call to the database failed, as SQLite's thread sends it. `code`: SQLite's primary result code. */
export type Failure = { failed: string; code: number | string | null }

export const isFailure = (response: unknown): response is Failure =>
  typeof response === 'object' && response !== null && 'failed' in response

/** Returns SQLite's primary result code, PostgreSQL's SQLSTATE, or Node's code for network errors; null for another error. */
export function codeOf(error: unknown): number | string | null {
  for (let each = error as Error | undefined; each; each = each.cause as Error | undefined) {
    const { errcode, code } = each as { errcode?: number; code?: number | string }
    if (errcode !== undefined) return errcode & 0xff
    if (code !== undefined && !String(code).startsWith('ERR_')) return code
  }
  return null
}

/**
 * Explains why the database doesn't accept writes, and what to do; null for an unknown cause.
 * A webhook then gets 503 (`notPersisted` in receive.ts), and SQLite runs each item of the failed commit alone (`createWriter` in file.ts).
 * @param shown the text to write after the cause
 * @see https://www.sqlite.org/rescode.html and https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export function whyNotWritable(error: unknown, shown = ''): string | null {
  const code = codeOf(error)
  switch (code) {
    case 13:
    case '53100':
    case 'ENOSPC':
      return `the disk is full${shown}. Free space on it.`
    case 8:
      return `it is read-only${shown}. Mount its disk for writing.`
    case '25006':
      return `it is a read-only replica${shown}. Connect to the primary server.`
    case 5:
    case 6:
      return `it is locked${shown}. Stop the process that has a transaction open, such as a backup or a shell: fuser or lsof, with the path in RELAY_DATABASE, lists the processes that use the file.`
    case '55P03':
    case '57014':
      return `it is locked${shown}. Wait until an upgrade of the database ends, or stop the process that has a transaction open: pg_stat_activity lists it.`
    case '53300':
      return `it has no free connection${shown}. Raise max_connections, or run fewer relays.`
    case 'REPLACED':
      return `its file was deleted or replaced${shown}. Put the file back, or restart the relay.`
  }
  // A network error, or a server that ends connections because it stops or starts.
  if (!/^(E[A-Z_]+$|08|57P)/.test(String(code))) return null
  return `it can't be reached${shown || ` (${code})`}. Check the server and the network.`
}
