import pino, { type DestinationStream, type Logger } from 'pino'

/** The relay's log: JSON lines. */
export function createLog(level: string, destination: DestinationStream): Logger {
  return pino({ level, serializers: { err: describeError } }, destination)
}

const LONGEST = 2_000

/**
 * An error for the log: never its own properties, since those of a client hold the request with its headers and body.
 * What a server has answered may quote the request, too: of such an error only the status is shown.
 */
function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { type: typeof error }
  const { name, message, stack = '', cause } = error
  const { code, status, request, response } = error as { [name: string]: unknown } & Error
  const isResponse = request !== undefined || response !== undefined
  const shown = isResponse ? `the answer was ${status}` : message
  return {
    type: name,
    message: shown.slice(0, LONGEST),
    ...(typeof code === 'string' && { code }),
    // Where it was thrown; its first lines repeat the message.
    stack: stack.slice(Math.max(0, stack.search(/^ +at /m))).slice(0, LONGEST),
    ...(cause instanceof Error && { cause: describeError(cause) }),
  }
}

type Destination = ReturnType<typeof pino.destination>

/** Where pino writes to. */
export type LogDestination = Pick<Destination, 'flush' | 'flushSync'> & { write(line: string): void }

/**
 * Hands on the lines of one turn of the event loop together: with each line, a destination of pino measures up to 16 KB of
 * those that wait, which under load costs more than making the line. Where they are too many, those of a turn are dropped.
 */
export function batchedByTurn(destination: Destination): LogDestination {
  let lines: string[] = []
  const passOn = () => {
    if (lines.length === 0) return
    const text = lines.join('')
    lines = []
    destination.write(text)
  }
  // Before pino's own, which writes what the destination holds.
  process.prependListener('exit', passOn)
  return {
    write(line) {
      if (lines.length === 0) setImmediate(passOn)
      lines.push(line)
    },
    flush(done) {
      passOn()
      destination.flush(done)
    },
    flushSync() {
      passOn()
      destination.flushSync()
    },
  }
}

type Write = (fields: object, message: string) => void

/**
 * The log for trouble that repeats itself: Port or the database is unavailable, GitHub limits the relay or rejects its
 * credential.
 */
export interface ThrottledLog extends Record<'warn' | 'error', Write> {
  /** Writes what was counted and has no line yet. */
  flush(): void
}

const MINUTE_MS = 60_000

/**
 * Writes trouble when it begins, and then one line a minute for each sentence as long as it lasts: with the fields of
 * its last time, and `count`, how many times it occurred since the line before. Sentences are fixed: what varies is a
 * field.
 */
export function createThrottledLog(log: Record<'warn' | 'error', Write>, everyMs = MINUTE_MS): ThrottledLog {
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
