import { setGlobalProxyFromEnv } from 'node:http'
import { LIMITS } from './limits.ts'

type Env = Record<string, string | undefined>

const PROXIES = ['HTTPS_PROXY', 'HTTP_PROXY', 'https_proxy', 'http_proxy']

export function proxiesOf(env: Env): [name: string, url: string][] {
  const all = PROXIES.map((name): [string, string] => [name, env[name]?.trim() ?? ''])
  return all.filter(([, url]) => url !== '')
}

/** Describes the problems with the proxy variables, in one sentence each. Omits the values, because they can contain passwords. */
export function proxyProblems(env: Env): string[] {
  return proxiesOf(env)
    .filter(([, url]) => !isProxy(url))
    .map(
      ([name]) =>
        `${name} must be an http(s) URL, such as http://proxy.example.com:3128; in a user name or password, write % as %25`,
    )
}

function isProxy(text: string): boolean {
  const url = /^https?:\/\/\S+$/i.test(text) ? URL.parse(text) : null
  if (url?.pathname !== '/' || /[?#]/.test(text)) return false
  try {
    decodeURIComponent(`${url.username}${url.password}`)
    return true
  } catch {
    return false
  }
}

const THIS_MACHINE = ['localhost', '127.0.0.1', '[::1]']

/**
 * Sends requests through the environment's proxy. Requests to hosts in `NO_PROXY` and to this machine bypass the proxy.
 * Ignores a malformed proxy URL, because the configuration check reports it.
 * @param env the process environment; the function removes blank proxy variables, because Node can't parse them
 */
export function useProxy(env: Env): void {
  const proxies = Object.fromEntries(proxiesOf(env))
  if (Object.keys(proxies).length === 0 || proxyProblems(env).length > 0) return
  for (const name of PROXIES) if (proxies[name] === undefined) delete env[name]
  const direct = [env.NO_PROXY || env.no_proxy, ...THIS_MACHINE].filter(Boolean).join(',')
  setGlobalProxyFromEnv({ ...proxies, NO_PROXY: direct, no_proxy: direct })
}

/**
 * Fetches a URL like `fetch`, but resolves after the whole response has arrived.
 * @throws the errors of `fetch`, even if only the body is cut off; Error if the uncompressed body exceeds the limit
 */
export async function fetchLimited(url: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(url, init)
  const { body, headers, status, statusText } = response
  if (body === null) return response
  const limit = LIMITS.response
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body) {
    length += chunk.byteLength
    if (length > limit) throw new Error(`the response has more than ${limit} bytes`)
    chunks.push(chunk)
  }
  const whole = new Response(Buffer.concat(chunks), { status, statusText, headers })
  return Object.defineProperty(whole, 'url', { value: response.url })
}

export const RESPONSE_OUTCOMES = [
  'ok',
  'rejected',
  'unauthorized',
  'limited',
  'error',
  'unreachable',
] as const
export type ResponseOutcome = (typeof RESPONSE_OUTCOMES)[number]

export type Received = Pick<Response, 'status' | 'headers' | 'url'> | null
export type OnResponse = (response: Received, error?: unknown) => void

/** Fetches like {@link fetchLimited}, and reports the response or the error. */
export const fetchObserved = (url: string, init: RequestInit, onResponse: OnResponse): Promise<Response> =>
  fetchLimited(url, init).then(
    response => {
      onResponse(response)
      return response
    },
    error => {
      onResponse(null, error)
      throw error
    },
  )

export function responseOutcome(response: Received): ResponseOutcome {
  if (response === null) return 'unreachable'
  const { status, headers } = response
  // If a request exceeds a rate limit, GitHub can also respond with 403.
  const isLimit = headers.has('retry-after') || headers.get('x-ratelimit-remaining') === '0'
  if (status === 429 || (status === 403 && isLimit)) return 'limited'
  if (status === 401) return 'unauthorized'
  if (status >= 500) return 'error'
  return status >= 400 ? 'rejected' : 'ok'
}
