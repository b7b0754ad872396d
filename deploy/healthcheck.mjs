// Exits with 0 if this container's relay, which listens on HOST and PORT, can accept webhooks, and otherwise with 1.
const { HOST = '0.0.0.0', PORT = '8080' } = process.env
const everywhere = { '0.0.0.0': '127.0.0.1', '::': '::1' }
const host = everywhere[HOST] ?? HOST
const address = `http://${host.includes(':') ? `[${host}]` : host}:${PORT}/readyz`
try {
  const { ok, status } = await fetch(address, { signal: AbortSignal.timeout(4_000) })
  if (!ok) console.error(`${address} responded with ${status}`)
  process.exitCode = ok ? 0 : 1
} catch (error) {
  console.error(`${address}: ${error.cause?.code ?? error.message}`)
  process.exitCode = 1
}
