/** Failures before a connection is established: of the network, of name resolution, of TLS. */
const NOT_SENT =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|UND_ERR_CONNECT_TIMEOUT|CERT_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG)/

/** Whether a request failed before a byte of it can have reached the server, so that repeating it is safe. */
export function wasNotSent(error: unknown): boolean {
  return errorChain(error).some(({ code, syscall }) => NOT_SENT.test(String(code)) || syscall === 'connect')
}

/** A network failure in short: the innermost code, such as ECONNRESET, or its message; never a header or a body. */
export function describeNetworkError(error: unknown): string {
  const errors = errorChain(error)
  const code = errors.findLast(each => typeof each.code === 'string')?.code
  // The message of a TypeError may quote a header.
  const last = errors.at(-1)
  const isTimeout = errors.some(({ name }) => name === 'TimeoutError' || name === 'AbortError')
  return isTimeout ? 'no answer in time' : (code ?? (last?.name === 'Error' ? last.message : 'no answer'))
}

/**
 * The error and its causes: `fetch` wraps a network error in a TypeError, Octokit that in a RequestError, and an
 * attempt to connect to several addresses has one error for each.
 */
export function errorChain(error: unknown): NodeJS.ErrnoException[] {
  const errors: NodeJS.ErrnoException[] = []
  for (let each = error; each instanceof Error && errors.length < 10; ) {
    errors.push(each)
    each = each instanceof AggregateError ? each.errors[0] : each.cause
  }
  return errors
}
