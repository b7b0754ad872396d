import { styleText } from 'node:util'
import pino, { type DestinationStream, type Logger } from 'pino'

/** The relay's log: JSON lines, which {@link forTerminal} turns into readable lines. */
export function createLog(level: string, destination: DestinationStream): Logger {
  return pino({ level, serializers: { err: describeError } }, destination)
}

const COLORS: Record<string, 'red' | 'yellow' | 'dim'> = {
  error: 'red',
  fatal: 'red',
  warn: 'yellow',
  debug: 'dim',
}

/** Readable lines: `12:03:04 WARN  database unavailable; retrying  count=3`. With color, unless `NO_COLOR` is set. */
export const forTerminal = (destination: LogDestination): LogDestination => ({
  ...destination,
  write: line => destination.write(readable(line)),
})

function readable(line: string): string {
  const { level, time, msg = '', pid: _, hostname: __, err, ...fields } = JSON.parse(line)
  const name = pino.levels.labels[level] ?? String(level)
  const label = styleText(COLORS[name] ?? 'green', name.toUpperCase().padEnd(5), { stream: process.stdout })
  const values = Object.entries(fields).map(([field, value]) => `${field}=${JSON.stringify(value)}`)
  const { type, message, stack } = err ?? {}
  const error = err === undefined ? [] : [`  ${type}: ${message}`, ...(stack ? [stack] : [])]
  const first = [`${new Date(time).toTimeString().slice(0, 8)} ${label} ${msg}`, ...values].join('  ')
  return [first, ...error, ''].join('\n')
}

const LONGEST = 2_000

/**
 * An error for the log, without its own properties: those of a client's error hold the request with its headers and
 * body. A response may quote the request, too, so only its status is shown.
 */
function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { type: typeof error }
  const { name, message, stack = '', cause } = error
  const { code, status, request, response } = error as { [name: string]: unknown } & Error
  const isResponse = request !== undefined || response !== undefined
  const shown = isResponse ? `the response was ${status}` : message
  return {
    type: name,
    message: shown.slice(0, LONGEST),
    ...(typeof code === 'string' && { code }),
    // Without the first lines, which repeat the message.
    stack: stack.slice(Math.max(0, stack.search(/^ +at /m))).slice(0, LONGEST),
    ...(cause instanceof Error && { cause: describeError(cause) }),
  }
}

type Destination = ReturnType<typeof pino.destination>

/** What pino writes to. */
export type LogDestination = Pick<Destination, 'flush' | 'flushSync'> & { write(line: string): void }

/**
 * Passes the lines of one turn of the event loop together: with each line, a destination of pino measures up to 16 KB of
 * waiting lines, which under load costs more than the line itself. If there are too many, those of a turn are dropped.
 */
export function batchedByTurn(destination: Destination): LogDestination {
  let lines: string[] = []
  const passOn = () => {
    if (lines.length === 0) return
    const text = lines.join('')
    lines = []
    destination.write(text)
  }
  // Before pino's own listener, which writes what the destination holds.
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

/** The log for repeated errors: Port or the database is unavailable, or GitHub limits the relay or rejects its credential. */
export interface ThrottledLog extends Record<'warn' | 'error', Write> {
  /** Writes a line for what was counted since the last one. */
  flush(): void
}

const MINUTE_MS = 60_000

/**
 * Writes an error when it occurs first, and then one line per minute for each message as long as it recurs: with the
 * latest fields, and `count`, the number of occurrences since the previous line. Messages are fixed: what varies is a
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

  /** @returns false if nothing has occurred since the previous line */
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
