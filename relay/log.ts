import { styleText } from 'node:util'
import pino, { type DestinationStream, type Logger } from 'pino'

/** Creates the relay's log, which writes JSON lines. {@link forTerminal} makes the lines readable. */
export function createLog(level: string, destination: DestinationStream): Logger {
  return pino({ level, serializers: { err: describeError } }, destination)
}

const COLORS: Record<string, 'red' | 'yellow' | 'dim'> = {
  error: 'red',
  fatal: 'red',
  warn: 'yellow',
  debug: 'dim',
}

/** Writes lines such as `12:03:04 WARN  database unavailable; retrying  count=3`, in color unless `NO_COLOR` is set. */
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
 * Describes an error for the log without its custom properties, because an HTTP client's error contains the request's
 * headers and body. Includes only a response's status, because the response's body can quote the request.
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
    // Omit the first lines, which repeat the message.
    stack: stack.slice(Math.max(0, stack.search(/^ +at /m))).slice(0, LONGEST),
    ...(cause instanceof Error && { cause: describeError(cause) }),
  }
}

type Destination = ReturnType<typeof pino.destination>

/** A destination for pino. */
export type LogDestination = Pick<Destination, 'flush' | 'flushSync'> & { write(line: string): void }

/** Maximum time that a line waits for other lines. */
const FLUSH_MS = 100

/**
 * Writes all lines of one event loop turn together. On every write, a pino destination measures up to 16 KB of buffered
 * lines. Under load, measuring takes longer than the write itself. If too many lines are buffered, a turn's lines are
 * dropped. If the buffer is below the destination's minimum size, it is flushed within 100 ms.
 */
export function batchedByTurn(destination: Destination): LogDestination {
  let lines: string[] = []
  let isScheduled = false
  let isChanged = false
  const schedule = () => {
    if (!isScheduled) setTimeout(flush, FLUSH_MS).unref()
    isScheduled = true
  }
  const flush = () => {
    isScheduled = false
    destination.flush()
  }
  // A flush does nothing during a write, so lines that were added meanwhile need another flush.
  destination.on('drain', () => {
    if (isChanged) schedule()
    isChanged = false
  })
  const passOn = () => {
    if (lines.length === 0) return
    const text = lines.join('')
    lines = []
    destination.write(text)
    isChanged = true
    schedule()
  }
  // Run before pino's own listener, which flushes the destination.
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

/** The log for errors that repeat, for example while Port or the database is unavailable. */
export interface ThrottledLog extends Record<'warn' | 'error', Write> {
  /** Writes a line for each message that has occurred since the message's last line. */
  flush(): void
}

const MINUTE_MS = 60_000

/**
 * Writes an error when it first occurs, then one line per minute for each message while it recurs. Each line has the
 * latest fields and a `count` of occurrences since the previous line. Errors are grouped by message, so variable values
 * belong in the fields.
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

  /** @returns false if the error hasn't occurred since the previous line */
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
