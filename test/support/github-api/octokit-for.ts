import { createAppAuth } from '@octokit/auth-app'
import { Octokit } from '@octokit/rest'
import type { GitHubApi, GitHubApp } from '../../../tools/simulator/github/types.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }

/** Returns Octokit with a token, as an App, or as the App's installation. */
export function octokitFor(
  api: GitHubApi,
  auth: string | { app: GitHubApp; installationId?: number },
): Octokit {
  if (typeof auth === 'string') return new Octokit({ auth, baseUrl: api.url, log })
  const { app, installationId } = auth
  return new Octokit({
    authStrategy: createAppAuth,
    // Octokit rejects an installation id that is present but undefined.
    auth: { appId: app.id, privateKey: app.privateKey, ...(installationId && { installationId }) },
    baseUrl: api.url,
    log,
  })
}

/** Returns the response to a refused call. Throws if the call was accepted. */
export async function refusalOf(call: Promise<unknown>) {
  const error = await call.then(
    () => new Error('GitHub accepted the call'),
    (cause: { status: number; response?: { headers: Record<string, string>; data: unknown } }) => cause,
  )
  if (error instanceof Error && !('status' in error)) throw error
  const { status, response } = error as {
    status: number
    response?: { headers: Record<string, string>; data: unknown }
  }
  return { status, headers: response?.headers, body: response?.data }
}
