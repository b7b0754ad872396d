import * as http from 'node:http'
import * as https from 'node:https'
import { HttpClient } from '@actions/http-client'
import type { Fetch } from '../../port/client/client.ts'
import { describeNetworkError, errorChain } from '../../port/client/errors.ts'

/** The headers of a response. If a header occurs twice, the first value counts. */
class ResponseHeaders {
  readonly #headers: http.IncomingHttpHeaders
  constructor(headers: http.IncomingHttpHeaders) {
    this.#headers = headers
  }
  get(name: string): string | null {
    return [this.#headers[name.toLowerCase()]].flat()[0] ?? null
  }
  *[Symbol.iterator](): Generator<[string, string]> {
    for (const name of Object.keys(this.#headers)) yield [name, this.get(name)!]
  }
}

/** The certificate isn't signed by an authority that this machine trusts. A retry can't help. */
export class UntrustedCertificate extends Error {}

/** @see https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const UNTRUSTED = [
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'CERT_UNTRUSTED',
]

function untrusted(cause: NodeJS.ErrnoException): UntrustedCertificate | null {
  if (!UNTRUSTED.includes(cause.code ?? '')) return null
  const message =
    `its certificate is not trusted (${cause.code}); if it, or a proxy, uses a private CA, set ` +
    "NODE_EXTRA_CA_CERTS in the environment of the runner to the path of the CA's certificate"
  return new UntrustedCertificate(message)
}

/**
 * A small `fetch` that keeps connections open and uses a self-hosted runner's proxy (`https_proxy`, `no_proxy`).
 * The global `fetch` supports proxies only with a flag. Redirects aren't followed.
 */
export function createFetch(): Fetch {
  // One client per scheme, because a client uses its first agent for both schemes.
  const open = () => new HttpClient(undefined, undefined, { keepAlive: true })
  const plain = { client: open(), request: http.request }
  const secure = { client: open(), request: https.request }
  return (url, { method, headers, body, signal }) =>
    new Promise((resolve, reject) => {
      const { client, request } = url.startsWith('https:') ? secure : plain
      const sent = request(url, { method, headers, signal, agent: client.getAgent(url) }, response => {
        const chunks: Buffer[] = []
        response.on('data', chunk => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          resolve({
            status: response.statusCode!,
            headers: new ResponseHeaders(response.headers),
            text: async () => text,
          })
        })
      })
      sent.on('error', error => reject(untrusted(error) ?? error))
      sent.end(body)
    })
}

/** Describes a network failure briefly, and names the setting to change if a certificate isn't trusted. */
export const whyNoResponse = (error: unknown): string =>
  errorChain(error).find(each => each instanceof UntrustedCertificate)?.message ?? describeNetworkError(error)
