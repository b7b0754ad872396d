import { RequestError } from '@octokit/request-error'
import type { Octokit } from '@octokit/rest'
import { isObject } from '../../port/types.ts'
import type { Config } from '../config/config.ts'
import { fetchObserved, type Received } from '../config/outgoing.ts'
import { PausedError, type RateLimitPauses, readLimit } from './rate-limit-pause.ts'
import { foreignReason, isForeign, mustBeGitHub } from './response.ts'

type Work<T> = (octokit: Octokit, at: { owner: string; repo: string }) => Promise<T>

/** How the relay authenticates to GitHub: with one token, or as a GitHub App with one installation for each owner. */
export interface Credential {
  kind: 'token' | 'app'
  /**
   * Calls `work` with an Octokit that has a token for the repository. Doesn't change the errors that `work` throws. If
   * GitHub rejects the installation or its token (401, 404), calls `work` once more, because the rejected request had
   * no effect.
   * @throws CredentialError if no token is available
   */
  use<T>(repository: string, work: Work<T>): Promise<T>
}

/** A credential with a check: `check` sends a request that shows whether GitHub accepts the credential. */
type CheckedCredential = Credential & { check(): Promise<void> }

/** Thrown if the relay gets no token for a repository. `system`: whether GitHub refused the installation or the token. */
export class CredentialError extends Error {
  override name = 'CredentialError'
  readonly system: 'installation' | 'token'
  constructor(system: 'installation' | 'token', repository: string, cause: unknown) {
    super(`No ${system} of the GitHub App for ${repository}`, { cause })
    this.system = system
  }
}

export function atOf(repository: string): { owner: string; repo: string } {
  const [owner = '', repo = ''] = repository.split('/')
  return { owner, repo }
}

/** @param onResponse called after each request, with the response or null, the time at which the request was sent (by `performance.now()`), and the error */
export function createCredential(
  { apiUrl, auth }: Config['github'],
  clock: () => number,
  onResponse: (response: Received, sentAt: number, error?: unknown) => void = () => {},
): CheckedCredential {
  const options = octokitOptions(apiUrl, (url, init) => {
    const sentAt = performance.now()
    const signal = init.signal ?? AbortSignal.timeout(TIMEOUT_MS)
    return fetchObserved(url, { ...init, signal }, (response, error) => onResponse(response, sentAt, error))
  })
  return 'token' in auth ? tokenCredential(options, auth.token) : appCredential(options, auth, clock)
}

type Options = ReturnType<typeof octokitOptions>

/**
 * Loads Octokit on first use, because loading it takes longer than everything else at startup. Omits Octokit's request
 * log, which would parse each request a second time.
 */
async function loadOctokit() {
  const { Octokit } = await import('@octokit/rest')
  return class extends Octokit {
    static override plugins = Octokit.plugins.filter(({ name }) => name !== 'requestLog')
  }
}

function tokenCredential(options: Options, token: string): CheckedCredential {
  let octokit: Promise<Octokit> | undefined
  const load = async () => {
    const Octokit = await loadOctokit()
    return rejectPages(new Octokit({ ...options, auth: token }))
  }
  const open = () => {
    octokit ??= load()
    return octokit
  }
  return {
    kind: 'token',
    use: async (repository, work) => work(await open(), atOf(repository)),
    // GET /rate_limit doesn't count against the rate limit.
    check: async () => void (await (await open()).request('GET /rate_limit')),
  }
}

/** The minimum time between two checks of an installation after a 404 or 403, which can also mean that an object or a permission is missing. */
const RECHECK_MS = 10_000

type App = { appId: string; privateKey: string }

function appCredential(options: Options, auth: App, clock: () => number): CheckedCredential {
  let app: Octokit | undefined
  const installations = new Map<string, number>()
  /** When a repository's installation was last looked up again after an error. */
  const checkedAt = new Map<string, number>()
  /** One Octokit per installation, because each installation has its own token. */
  const octokits = new Map<number, Octokit>()

  return {
    kind: 'app',
    async use(repository, work) {
      try {
        return await work(await open(repository), atOf(repository))
      } catch (error) {
        if (!forgets(repository, error)) throw error
        return work(await open(repository), atOf(repository))
      }
    },
    async check() {
      app ??= await create()
      await app.request('GET /app')
    },
  }

  async function open(repository: string): Promise<Octokit> {
    const installationId = await findInstallation(repository)
    const octokit = octokits.get(installationId) ?? (await create({ installationId }))
    octokits.set(installationId, octokit)
    try {
      // auth-app caches the token for an hour, and renews it shortly before it expires.
      await octokit.auth({ type: 'installation' })
    } catch (error) {
      throw new CredentialError('token', repository, error)
    }
    return octokit
  }

  async function findInstallation(repository: string): Promise<number> {
    const known = installations.get(repository.toLowerCase())
    if (known !== undefined) return known
    app ??= await create()
    try {
      const { data } = await app.apps.getRepoInstallation(atOf(repository))
      mustBeGitHub(typeof data.id === 'number')
      installations.set(repository.toLowerCase(), data.id)
      return data.id
    } catch (error) {
      throw new CredentialError('installation', repository, error)
    }
  }

  async function create(installation: { installationId?: number } = {}): Promise<Octokit> {
    const [Octokit, { createAppAuth }] = await Promise.all([loadOctokit(), import('@octokit/auth-app')])
    const given = { ...auth, ...installation }
    return rejectPages(new Octokit({ ...options, authStrategy: createAppAuth, auth: given }))
  }

  /** Forgets an installation if the error may mean that the App was uninstalled. @returns whether it was forgotten */
  function forgets(repository: string, error: unknown): boolean {
    const name = repository.toLowerCase()
    const known = installations.get(name)
    const ofToken = error instanceof CredentialError && error.system === 'token'
    const cause = ofToken ? error.cause : error
    const status = cause instanceof RequestError && cause.response ? cause.status : 0
    const isDue = clock() - (checkedAt.get(name) ?? Number.NEGATIVE_INFINITY) > RECHECK_MS
    const gone = ofToken
      ? status === 404 || status === 401
      : status === 401 || ([403, 404].includes(status) && isDue)
    if (known === undefined || !gone) return false
    checkedAt.set(name, clock())
    installations.delete(name)
    octokits.delete(known)
    return true
  }
}

export function pausedCredential(
  credential: Credential,
  pauses: RateLimitPauses,
  clock: () => number,
): Credential {
  return {
    kind: credential.kind,
    /** @throws PausedError during a rate-limit pause */
    async use(repository, work) {
      const closed = pauses.find(repository)
      if (closed) throw new PausedError(closed)
      try {
        return await credential.use(repository, work)
      } catch (error) {
        const limit = readLimit(error, clock(), pauses.tries(repository))
        if (limit) pauses.pause(repository, limit.until, limit.reason, 'limit')
        throw error
      }
    },
  }
}

/** The minimum length of a secret to redact. A shorter secret could be a part of ordinary words. */
const SHORTEST = 6
/** Matches all GitHub tokens, including installation tokens, which aren't in the configuration. */
const TOKENS = /\b(gh[a-z]|github_pat)_\w{20,}/g

/** Removes secrets from the errors of requests, because GitHub or a proxy can quote the request. */
export function hideSecrets(credential: Credential, secrets: readonly string[]): Credential {
  const known = secrets.filter(secret => secret.length >= SHORTEST).sort((a, b) => b.length - a.length)
  const hide = (text: string) =>
    known.reduce((hidden, secret) => hidden.replaceAll(secret, '***'), text).replace(TOKENS, '***')

  return {
    kind: credential.kind,
    async use(repository, work) {
      try {
        return await credential.use(repository, work)
      } catch (error) {
        for (let each = error; each instanceof Error; each = each.cause) {
          const hidden = hide(each.message)
          // The assignment is conditional, because the message of a DOMException is read-only.
          if (hidden !== each.message) each.message = hidden
          const data = each instanceof RequestError ? each.response?.data : null
          if (isObject(data) && typeof data.message === 'string') data.message = hide(data.message)
        }
        throw error
      }
    },
  }
}

/** The API version, which every request has in a header. Without the header, GitHub would choose the version. @see https://docs.github.com/rest/about-the-rest-api/api-versions */
const API_VERSION = '2022-11-28'
const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

/** Returns Octokit's options. Every request to GitHub's API names the relay and the API version, including the requests of auth-app. */
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
      // Octokit passes the headers as an object with lower-case names.
      const headers = { ...(init?.headers as Record<string, string>), 'x-github-api-version': API_VERSION }
      return send(url, { ...init, headers })
    },
  },
})

/** Makes a read fail if a proxy responds with an HTML page. Dispatches have their own check. */
function rejectPages(octokit: Octokit): Octokit {
  octokit.hook.after('request', ({ status, data }, { url, mediaType }) => {
    const isJson = mediaType?.format !== 'raw' && !url.endsWith('/dispatches')
    if (isJson && (status === 200 || status === 201) && isForeign(data))
      throw new Error(foreignReason(status))
  })
  return octokit
}

/** The timeout of a request. It is longer than the connection timeout of `fetch` (10 to 11 s), whose error shows that nothing was sent. */
export const TIMEOUT_MS = 12_000
