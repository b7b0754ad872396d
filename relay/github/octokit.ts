import type { createAppAuth } from '@octokit/auth-app'
import type { Octokit } from '@octokit/rest'
import { fetchLimited } from '../http/outgoing.ts'
import { foreignReason, isForeign } from './response.ts'

/** Without a version, GitHub would choose one. @see https://docs.github.com/rest/about-the-rest-api/api-versions */
const API_VERSION = '2022-11-28'
const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

/** Octokit's options. Every GitHub API request, including auth-app's, identifies the relay and the API version. */
export const octokitOptions = (
  apiUrl: string,
  send: (url: string, init: RequestInit) => Promise<Response>,
) => ({
  baseUrl: apiUrl,
  userAgent: 'port-webhook-relay',
  log: SILENT,
  request: {
    retries: 0,
    fetch(url: string, init?: RequestInit) {
      const headers = new Headers(init?.headers)
      headers.set('x-github-api-version', API_VERSION)
      return send(url, { ...init, headers })
    },
  },
})

interface Loaded {
  Octokit: typeof Octokit
  createAppAuth: typeof createAppAuth
}

let loading: Promise<Loaded> | undefined

/** GitHub's client takes longer to load than everything else at startup, so it's loaded on first use. */
export function loadOctokit(): Promise<Loaded> {
  loading ??= Promise.all([import('@octokit/rest'), import('@octokit/auth-app')]).then(
    ([{ Octokit }, { createAppAuth }]) => ({ Octokit, createAppAuth }),
  )
  return loading
}

/** Makes reads fail if a proxy responded with a page. Dispatches check their responses themselves. */
export function rejectPages(octokit: Octokit): Octokit {
  octokit.hook.after('request', ({ status, data }, { url, mediaType }) => {
    const isJson = mediaType?.format !== 'raw' && !url.endsWith('/dispatches')
    if (isJson && (status === 200 || status === 201) && isForeign(data))
      throw new Error(foreignReason(status))
  })
  return octokit
}

/** Longer than `fetch` takes to give up connecting (10 to 11 s), so that its error shows that nothing was sent. */
const TIMEOUT_MS = 12_000
/** A timer that fires this late means that the process was suspended. */
const SUSPENDED_MS = 5_000

/** Adds a timeout to every request, including auth-app's. */
export function fetchInTime(url: string, init: RequestInit = {}): Promise<Response> {
  return fetchLimited(url, { ...init, signal: init.signal ?? timeOut(TIMEOUT_MS) })
}

/** Like the DOM's error of this name, but with a message that can be changed to remove a secret. */
class TimeoutError extends Error {
  override name = 'TimeoutError'
  constructor() {
    super('No response in time')
  }
}

/**
 * Aborts after the timeout. If the process was suspended in the meantime (a sleeping machine, a stopped container), the
 * response may have arrived, so the timeout restarts once to read it. That makes a dispatch's outcome known.
 */
function timeOut(ms: number): AbortSignal {
  const controller = new AbortController()
  let due = Date.now() + ms
  const check = () => {
    const late = Date.now() - due
    if (late < SUSPENDED_MS) return controller.abort(new TimeoutError())
    due += late + ms
    setTimeout(check, ms).unref()
  }
  setTimeout(check, ms).unref()
  return controller.signal
}
