import type { createAppAuth } from '@octokit/auth-app'
import type { Octokit } from '@octokit/rest'

interface Loaded {
  Octokit: typeof Octokit
  createAppAuth: typeof createAppAuth
}

let loading: Promise<Loaded> | undefined

/** GitHub's client, which takes longer to load than the rest of the start together: loaded when it is first needed. */
export function loadOctokit(): Promise<Loaded> {
  loading ??= Promise.all([import('@octokit/rest'), import('@octokit/auth-app')]).then(
    ([{ Octokit }, { createAppAuth }]) => ({ Octokit, createAppAuth }),
  )
  return loading
}

/** Without a version, GitHub would choose one. @see https://docs.github.com/rest/about-the-rest-api/api-versions */
const API_VERSION = '2022-11-28'
const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

/** Octokit's options: every request to GitHub's API names the relay and the version, including those of auth-app. */
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
