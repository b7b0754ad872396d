import { describeNetworkError, errorChain } from '../../port/client/errors.ts'

const CA =
  "Let the server send the complete chain of certificates. If the CA is private, or a proxy inspects TLS, set NODE_EXTRA_CA_CERTS to the file with the CA's certificate, and restart the relay."
const START = 'Correct SETTING or HTTPS_PROXY, check the firewall, or start the server there.'
const CONNECT = 'Check SETTING, HTTPS_PROXY, and the firewall.'

/** Patterns of Node's error codes, the causes, and the advice. @see https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const ERRORS: [RegExp, string, string][] = [
  [
    /^CERT_HAS_EXPIRED$/,
    'the certificate of HOST has expired',
    'Renew the certificate, and reload its server or proxy.',
  ],
  [/^CERT_NOT_YET_VALID$/, "the certificate of HOST isn't valid yet", "Check this machine's clock."],
  [/ALTNAME/, 'the certificate of HOST is for another name', 'Correct the certificate, or SETTING.'],
  [/CERT|SIGNED|ISSUER|VERIFY/, "this machine doesn't trust the CA of HOST's certificate", CA],
  [/^ENOTFOUND|^EAI_AGAIN/, "the name HOST doesn't resolve", 'Correct SETTING or HTTPS_PROXY, or the DNS.'],
  [/^ERR_SSL|^EPROTO/, "HOST doesn't speak TLS", 'Correct SETTING, or let the server use https.'],
  [/^ECONNREFUSED/, 'nothing accepts connections at HOST', START],
  [/^E\w+UNREACH$/, 'no route leads to HOST', CONNECT],
  [/time/i, "HOST doesn't respond in time", CONNECT],
  [/^/, 'the connection to HOST failed', CONNECT],
]

/** Explains why a request got no response, and what to do. @param setting the name of the setting that contains the URL */
export function explainNetworkError(error: unknown, url: string, setting: string) {
  const { host } = new URL(url)
  const errors = errorChain(error)
  // Undici's message if the proxy in HTTPS_PROXY refuses the tunnel.
  const refused = errors.find(({ message }) => message.includes('HTTP Tunneling'))
  if (refused) {
    const status = /\((\d+)\)/.exec(refused.message)?.[1] ?? 'no status'
    const cause = `the proxy in HTTPS_PROXY refuses the connection to ${host} (${status})`
    const signIn = "Add the proxy's user name and password to HTTPS_PROXY."
    return { byProxy: true, cause, advice: status === '407' ? signIn : `Let the proxy allow ${host}.` }
  }
  const { address, port, hostname } = (errors.at(-1) ?? {}) as Record<string, string | undefined>
  // With a proxy, these are the proxy's.
  const at = address === undefined ? (hostname ?? host) : `${address}:${port}`
  const code = describeNetworkError(error)
  const [, why, cure] = ERRORS.find(([pattern]) => pattern.test(code)) as (typeof ERRORS)[number]
  const cause = `${why.replace('HOST', at)} (${code})`
  return { byProxy: false, cause, advice: cure.replace('SETTING', setting) }
}
