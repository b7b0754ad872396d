import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createPortClient } from '../../../port/client/client.ts'
import { isLoopback } from '../../../port/text.ts'
import { proxiesOf } from '../../http/outgoing.ts'
import {
  type Check,
  compareClock,
  type Finding,
  ok,
  problem,
  TIMEOUT_MS,
  warning,
  whyUnreachable,
} from './check.ts'

/** Whether a relay responds at the public URL. */
export const publicUrl: Check = {
  name: 'public URL',
  async run({ config, fetch }) {
    const url = config.publicUrl
    if (url === null) return []
    if (isLoopback(new URL(url).hostname))
      return [
        warning(
          `RELAY_PUBLIC_URL (${url}) is this machine's own address: workflows on GitHub's runners cannot reach it.`,
        ),
      ]
    const reason = await whyNoRelay(fetch, url)
    if (reason === null) return [ok(`A relay responds at ${url}.`)]
    return [
      warning(
        `No relay responds at ${url} (${reason}): start it, or check RELAY_PUBLIC_URL and the proxy in front of it.`,
      ),
    ]
  },
}

async function whyNoRelay(fetch: typeof globalThis.fetch, url: string): Promise<string | null> {
  try {
    const response = await fetch(`${url}/healthz`, {
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    const answer = (await response.json().catch(() => null)) as { ok?: unknown } | null
    return response.status === 200 && answer?.ok === true ? null : `/healthz responds with ${response.status}`
  } catch (error) {
    return whyUnreachable(error)
  }
}

/** Without the issuer's keys, the relay accepts no report. */
export const oidcIssuer: Check = {
  name: 'OIDC issuer',
  async run({ config, fetch }) {
    if (config.publicUrl === null) return []
    const { oidcIssuer } = config.github
    let reason: string
    try {
      const response = await fetch(`${oidcIssuer}/.well-known/jwks`, {
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
      const answer = (await response.json().catch(() => null)) as { keys?: unknown } | null
      if (response.status === 200 && Array.isArray(answer?.keys) && answer.keys.length > 0)
        return [ok(`The OIDC issuer ${oidcIssuer} publishes its keys.`)]
      reason = response.status === 200 ? 'the list is empty' : `HTTP ${response.status}`
    } catch (error) {
      reason = whyUnreachable(error)
    }
    return [
      problem(
        `The OIDC issuer ${oidcIssuer} publishes no keys (${reason}), so reports are rejected: check GITHUB_OIDC_ISSUER.`,
      ),
    ]
  },
}

/** The proxies and the CA of the environment. */
export const proxy: Check = {
  name: 'proxy and CA',
  async run({ env, readFile }) {
    const found = await Promise.all(proxiesOf(env).map(([name, text]) => checkProxy(name, new URL(text))))
    const ca = env.NODE_EXTRA_CA_CERTS
    return [...found, ...(ca ? [checkCertificates(ca, readFile)] : [])]
  },
}

async function checkProxy(name: string, url: URL): Promise<Finding> {
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80)
  const socket = connect({ host: url.hostname.replace(/^\[|\]$/g, ''), port, timeout: TIMEOUT_MS })
  socket.on('timeout', () => socket.destroy(new DOMException('No response in time', 'TimeoutError')))
  try {
    await once(socket, 'connect')
    return ok(`The proxy of ${name} (${url.host}) can be reached.`)
  } catch (error) {
    return problem(`The proxy of ${name} (${url.host}) cannot be reached: ${whyUnreachable(error)}.`)
  } finally {
    socket.destroy()
  }
}

function checkCertificates(path: string, readFile: (path: string) => string): Finding {
  let text: string
  try {
    text = readFile(path)
  } catch (error) {
    return problem(`NODE_EXTRA_CA_CERTS: ${path} cannot be read (${(error as NodeJS.ErrnoException).code}).`)
  }
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  try {
    for (const block of blocks) new X509Certificate(block)
    if (blocks.length > 0) return ok(`NODE_EXTRA_CA_CERTS: ${path} holds certificates.`)
  } catch {}
  return problem(`NODE_EXTRA_CA_CERTS: ${path} must hold certificates in PEM form.`)
}

/** Gets a token with the client id and secret, and compares Port's clock. */
export const port: Check = {
  name: 'port',
  async run({ config, clock, fetch }) {
    const { clientId, apiUrl } = config.port
    if (clientId === null) return []
    let date: string | null = null
    const client = createPortClient({
      ...config.port,
      clientId,
      clock,
      timeoutMs: TIMEOUT_MS,
      fetch: async (url, init) => {
        const response = await fetch(url, { ...init, redirect: 'manual' })
        date = response.headers.get('date')
        return response
      },
    })
    await client.authorize()
    const { tolerance } = config.webhook
    return [
      ok(`Port (${new URL(apiUrl).host}) accepts PORT_CLIENT_ID and PORT_CLIENT_SECRET.`),
      ...compareClock(
        "Port's",
        date,
        clock(),
        tolerance,
        `webhooks are refused beyond RELAY_TOLERANCE (${tolerance / 1000} s).`,
      ),
    ]
  },
}
