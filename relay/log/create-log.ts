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
  const isAnswered = request !== undefined || response !== undefined
  const shown = isAnswered ? `the answer was ${status}` : message
  return {
    type: name,
    message: shown.slice(0, LONGEST),
    ...(typeof code === 'string' && { code }),
    // Where it was thrown; its first lines repeat the message.
    stack: stack.slice(Math.max(0, stack.search(/^ +at /m))).slice(0, LONGEST),
    ...(cause instanceof Error && { cause: describeError(cause) }),
  }
}
