// Whether the relay of this container can accept webhooks: exit code 0, else 1. It listens on HOST and PORT.
const { HOST = '0.0.0.0', PORT = '8080' } = process.env
const everywhere = { '0.0.0.0': '127.0.0.1', '::': '::1' }
const host = everywhere[HOST] ?? HOST
const address = `http://${host.includes(':') ? `[${host}]` : host}:${PORT}/readyz`
try {
  const { ok, status } = await fetch(address, { signal: AbortSignal.timeout(4_000) })
  if (!ok) console.error(`${address} answers ${status}`)
  process.exitCode = ok ? 0 : 1
} catch (error) {
  console.error(`${address}: ${error.cause?.code ?? error.message}`)
  process.exitCode = 1
}
