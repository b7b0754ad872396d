type Write = (fields: object, message: string) => void

/**
 * The log for trouble that repeats itself: Port or the database is unavailable, GitHub limits the relay or rejects its
 * credential.
 */
export interface Trouble extends Record<'warn' | 'error', Write> {
  /** Writes what was counted and has no line yet. */
  flush(): void
}

const MINUTE_MS = 60_000

/**
 * Writes trouble when it begins, and then one line a minute for each sentence as long as it lasts: with the fields of
 * its last time, and `count`, how many times it occurred since the line before. Sentences are fixed: what varies is a
 * field.
 */
export function createTrouble(log: Record<'warn' | 'error', Write>, everyMs = MINUTE_MS): Trouble {
  const lasting = new Map<string, { level: 'warn' | 'error'; fields: object; count: number }>()

  function note(level: 'warn' | 'error', fields: object, message: string): void {
    const known = lasting.get(message)
    if (known) {
      Object.assign(known, { level, fields, count: known.count + 1 })
      return
    }
    log[level]({ ...fields, count: 1 }, message)
    lasting.set(message, { level, fields, count: 0 })
    const timer = setInterval(() => {
      if (write(message)) return
      lasting.delete(message)
      clearInterval(timer)
    }, everyMs).unref()
  }

  /** @returns false where nothing has occurred since the line before */
  function write(message: string): boolean {
    const known = lasting.get(message)
    if (!known || known.count === 0) return false
    log[known.level]({ ...known.fields, count: known.count }, message)
    known.count = 0
    return true
  }

  return {
    warn: (fields, message) => note('warn', fields, message),
    error: (fields, message) => note('error', fields, message),
    flush() {
      for (const message of lasting.keys()) write(message)
    },
  }
}
