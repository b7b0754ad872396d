import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { isLoopback } from '../../port/text.ts'
import { isObject, type Json, type JsonObject } from '../../port/types.ts'
import { challengeAddress, type Found, newChallenge } from '../../relay/admin/public-address.ts'
import { sendAlert } from '../../relay/admin/send-alert.ts'
import type { Config } from '../../relay/config/config.ts'
import { proxiesOf } from '../../relay/config/outgoing.ts'
import { relayAddress } from '../admin-client.ts'
import { type Check, type Finding, ok, problem, TIMEOUT_MS, warning, whyUnreachable } from './check.ts'

export const relay: Check = {
  name: 'relay',
  async run({ env, config, fetch }) {
    const [url, own] = [config.publicUrl, relayAddress({ PORT: env.PORT })]
    const challenge = newChallenge()
    const here = await challengeAddress(own, challenge, null, fetch)
    const isHere = here.kind === 'relay'
    const expected = isHere ? here.hmac : null
    const there = url === null ? null : await challengeAddress(url, challenge, expected, fetch)
    const isThere = there?.kind === 'relay'
    const isLocal = url !== null && isLoopback(new URL(url).hostname)
    const addresses = url === null ? [own] : [own, url]
    const health = await Promise.all(addresses.map(address => readHealth(fetch, address)))
    const checks = Object.values(health.find(checks => checks !== null) ?? {})
    const failed = checks.filter(check => isObject(check) && check.ok !== true) as JsonObject[]
    return [
      isLocal &&
        warning(
          `RELAY_PUBLIC_URL (${url}) is this machine's own address: workflows on GitHub's runners can't reach it.`,
        ),
      there !== null && (isHere || !isLocal) && describeAddress(config, there, isHere),
      (isHere || isThere) && ok(`A relay responds at ${isThere ? url : own}.`),
      ...failed.map(({ detail }) => problem(`The running relay: ${detail}`)),
    ]
  },
}

function describeAddress(config: Config, found: Found, isHere: boolean): Finding | false {
  const name = `RELAY_PUBLIC_URL (${config.publicUrl})`
  if (found.kind === 'relay') return false
  if (found.kind === 'unknown') return warning(`${name} can't be checked: ${found.cause}.`)
  const [cause, advice] = [`${found.cause}.`, found.advice]
  // Only a warning, because the relay may not have been started yet.
  if (!isHere) return warning(`No relay responds at ${name}: ${cause} Start the relay. If it runs: ${advice}`)
  return (config.checkPublicUrl ? problem : warning)(`${name} doesn't lead to this relay: ${cause} ${advice}`)
}

/** Reads the checks in the body of /readyz; null if no relay responds. */
async function readHealth(fetch: typeof globalThis.fetch, url: string): Promise<JsonObject | null> {
  const init = { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) } as const
  const response = await fetch(`${url}/readyz`, init).catch(() => null)
  const body = (await response?.json().catch(() => null)) as Json | undefined
  return isObject(body) && isObject(body.checks) ? body.checks : null
}

/** Checks the OIDC issuer. Without the issuer's keys, the relay accepts no reports. */
export const oidcIssuer: Check = {
  name: 'OIDC issuer',
  async run({ config, fetch }) {
    if (config.publicUrl === null) return []
    const { oidcIssuer } = config.github
    const read = async () => {
      const init = { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) } as const
      const response = await fetch(`${oidcIssuer}/.well-known/jwks`, init)
      const body = (await response.json().catch(() => null)) as { keys?: unknown } | null
      if (response.status !== 200) return `HTTP ${response.status}`
      return Array.isArray(body?.keys) && body.keys.length > 0 ? '' : 'the list is empty'
    }
    const reason = await read().catch(whyUnreachable)
    if (!reason) return [ok(`The OIDC issuer ${oidcIssuer} publishes its keys.`)]
    return [
      problem(
        `The OIDC issuer ${oidcIssuer} publishes no keys (${reason}), so reports are rejected: check GITHUB_OIDC_ISSUER.`,
      ),
    ]
  },
}

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
    return ok(`The proxy in ${name} (${url.host}) can be reached.`)
  } catch (error) {
    return problem(`The proxy in ${name} (${url.host}) can't be reached: ${whyUnreachable(error)}.`)
  } finally {
    socket.destroy()
  }
}

function checkCertificates(path: string, readFile: (path: string) => string): Finding {
  try {
    const pem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
    const blocks = readFile(path).match(pem) ?? []
    for (const block of blocks) new X509Certificate(block)
    if (blocks.length > 0) return ok(`NODE_EXTRA_CA_CERTS: ${path} contains certificates.`)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (/^E[A-Z]+$/.test(code)) return problem(`NODE_EXTRA_CA_CERTS: ${path} can't be read (${code}).`)
  }
  return problem(`NODE_EXTRA_CA_CERTS: ${path} must contain certificates in PEM form.`)
}

export const alert: Check = {
  name: 'alert',
  async run({ config, clock }) {
    const { alert, publicUrl } = config
    if (!alert) return [problem("RELAY_ALERT_URL isn't set: no alert can be sent.")]
    const now = clock()
    const test = { type: 'test', side: null, key: '', text: 'Test alert from `doctor --alert`.', since: now }
    const started = [{ ...test, isSent: false, resolvedAt: null }]
    await sendAlert(alert, publicUrl, { started, resolved: [] }, now)
    return [ok('A test alert was sent to RELAY_ALERT_URL.')]
  },
}
