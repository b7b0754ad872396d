import { UntrustedCertificate } from './fetch.ts'

/** The reason of a network error: its code, or its message. */
export function whyNoAnswer(error: unknown): string {
  if (error instanceof UntrustedCertificate) return error.message
  const cause = innermost(error)
  const { code, name, message } = cause as NodeJS.ErrnoException
  return name === 'TimeoutError' || name === 'AbortError' ? 'it took too long' : (code ?? message)
}

/** The client of GitHub's API wraps the error of the network, twice. */
function innermost(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Error ? innermost(error.cause) : error
}
