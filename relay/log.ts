import { styleText } from 'node:util'
import pino, { type DestinationStream, type Logger } from 'pino'
import { cleanLine } from '../port/text.ts'

export function createLog(level: string, destination: DestinationStream): Logger {
  return pino({ level, serializers: { err: describeError } }, destination)
}

const COLORS: Record<string, 'red' | 'yellow' | 'dim'> = {
  ...{ error: 'red', fatal: 'red', warn: 'yellow', debug: 'dim' },
}

type Destination = DestinationStream & { flush(done?: () => void): void; flushSync?(): void }

/** Writes the lines of one event loop turn together, because SonicBoom copies all waiting lines for each write. */
export function joinLines(destination: Destination, format = (line: string) => line): Destination {
  let lines = ''
  const write = () => {
    const joined = lines
    lines = ''
    if (joined) destination.write(joined)
  }
  // A crash must not lose the lines of the current turn.
  process.once('exit', () => {
    write()
    destination.flushSync?.()
  })
  return {
    write(line) {
      if (!lines) queueMicrotask(write)
      lines += format(line)
    },
    flush(done) {
      write()
      destination.flush(done)
    },
  }
}

/** Formats a line for terminals, such as `12:03:04 WARN  database unavailable; retrying  count=3`. Uses colors unless `NO_COLOR` is set. */
export function forTerminal(line: string): string {
  const { level, time, msg = '', pid: _, hostname: __, err, ...fields } = JSON.parse(line)
  const name = pino.levels.labels[level] ?? String(level)
  const label = styleText(COLORS[name] ?? 'green', name.toUpperCase().padEnd(5), { stream: process.stdout })
  const values = Object.entries(fields).map(([field, value]) => `${field}=${JSON.stringify(value)}`)
  const { type, message, stack } = err ?? {}
  const error =
    err === undefined ? [] : [`  ${type}: ${cleanLine(String(message))}`, ...(stack ? [stack] : [])]
  const first = [`${new Date(time).toTimeString().slice(0, 8)} ${label} ${msg}`, ...values].join('  ')
  return [first, ...error, ''].join('\n')
}

const LONGEST = 2_000

/**
 * Describes an error for the log. Omits custom properties, because they can contain a request's headers and body. For a
 * response, shows nothing but the status, because the body can quote the request.
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
    stack: stack.slice(Math.max(0, stack.search(/^ +at /m))).slice(0, LONGEST),
    ...(cause instanceof Error && { cause: describeError(cause) }),
  }
}

type Levels = Record<'info' | 'warn' | 'error', (fields: object, message: string) => void>

export type ThrottledLog = ReturnType<typeof createThrottledLog>

const MINUTE_MS = 60_000
const LONGEST_REASON = 200

/**
 * Creates a log for messages that can repeat often, such as errors during an outage of Port, or refusals of unverified
 * requests. A message is written when it first occurs. While the message recurs, one line per minute shows the latest
 * fields, and the `count` since the previous line. If there are different reasons, `reasons` contains the count of each
 * reason. Messages are grouped by their text, so variable values belong in the fields.
 * @param maxReasons the maximum number of reasons in a line; `others` counts the remaining reasons
 */
export function createThrottledLog(log: Levels, maxReasons: number) {
  type Lasting = { level: keyof Levels; fields: object; count: number; reasons: Map<string, number> }
  const lasting = new Map<string, Lasting>()

  function note(level: keyof Levels, fields: { reason?: unknown }, message: string): void {
    const known = lasting.get(message)
    if (known) {
      const { count, reasons } = known
      const given = String(fields.reason).slice(0, LONGEST_REASON)
      const reason = reasons.has(given) || reasons.size < maxReasons ? given : 'others'
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
      Object.assign(known, { level, fields, count: count + 1 })
      return
    }
    log[level]({ ...fields, count: 1 }, message)
    lasting.set(message, { level, fields, count: 0, reasons: new Map() })
    const timer = setInterval(() => {
      if (write(message)) return
      lasting.delete(message)
      clearInterval(timer)
    }, MINUTE_MS).unref()
  }

  /** Writes a line. @returns false if the message hasn't occurred since the last line */
  function write(message: string): boolean {
    const known = lasting.get(message)
    if (!known || known.count === 0) return false
    const { level, fields, count, reasons } = known
    const counts = reasons.size > 1 && { reasons: Object.fromEntries(reasons) }
    log[level]({ ...fields, count, ...counts }, message)
    known.count = 0
    reasons.clear()
    return true
  }

  return {
    info: (fields: object, message: string) => note('info', fields, message),
    warn: (fields: object, message: string) => note('warn', fields, message),
    error: (fields: object, message: string) => note('error', fields, message),
    flush(): void {
      for (const message of lasting.keys()) write(message)
    },
  }
}
