import type { createAppAuth } from '@octokit/auth-app'
import { RequestError } from '@octokit/request-error'
import type { Octokit } from '@octokit/rest'
import type { Config } from '../config/config.ts'
import { fetchLimited } from '../http/outgoing.ts'
import { PausedError, type RateLimitPauses, readLimit } from './rate-limit-pause.ts'
import { isForeign, mustBeGitHub } from './response.ts'

/** @param at the repository, as Octokit takes it */
type Work<T> = (octokit: Octokit, at: { owner: string; repo: string }) => Promise<T>

/** How the relay acts on GitHub: by one token, or as a GitHub App by the installation of each repository. */
export interface Credential {
  kind: 'token' | 'app'
  /**
   * Gives `work` an Octokit that has a token for the repository: what `work` throws was thrown by `work`'s own
   * request.
   *
   * `work` runs a second time, once, when GitHub did not accept the installation or its token (401, 404):
   * then its first request has changed nothing.
   *
   * @throws CredentialError where there is no such token
   */
  use<T>(repository: string, work: Work<T>): Promise<T>
}

export interface CredentialCheck {
  /** Asks GitHub for nothing but whether it accepts the credential: `onAnswer` gets the answer. */
  check(): Promise<void>
}

/** No token for a repository. `stage`: finding the App's installation there, or getting a token for it. */
export class CredentialError extends Error {
  readonly system: 'installation' | 'token'
  constructor(system: 'installation' | 'token', repository: string, cause: unknown) {
    super(`No ${system} of the GitHub App for ${repository}`, { cause })
    this.name = 'CredentialError'
    this.system = system
  }
}

/** `owner/name` in its two parts. */
export function atOf(repository: string): { owner: string; repo: string } {
  const [owner = '', repo = ''] = repository.split('/')
  return { owner, repo }
}

/** Longer than Node's `fetch` takes to give up connecting, 10 to 11 s: then nothing was sent, which it says. */
const TIMEOUT_MS = 12_000
/** A timer that is so late means that this process was suspended. */
const STOOD_STILL_MS = 5_000
/** A 404 may mean "no longer installed here" or "does not exist": how often the first is checked. */
const LOOK_AGAIN_MS = 60_000

/** @param onResponse called with each answer, null where none came, and when its request was sent by `performance.now()` */
export function createCredential(
  { apiUrl, auth }: Config['github'],
  clock: () => number,
  onResponse: (answer: Response | null, sentAt: number) => void = () => {},
): Credential & CredentialCheck {
  const options = octokitOptions(apiUrl, async (url, init) => {
    const sentAt = performance.now()
    const response = await fetchInTime(url, init).catch(error => {
      onResponse(null, sentAt)
      throw error
    })
    onResponse(response, sentAt)
    return response
  })
  if ('token' in auth) {
    let octokit: Octokit | undefined
    const open = async () => {
      octokit ??= checked(new (await loadOctokit()).Octokit({ ...options, auth: auth.token }))
      return octokit
    }
    return {
      kind: 'token',
      use: async (repository, work) => work(await open(), atOf(repository)),
      // It counts against no limit.
      check: async () => void (await (await open()).request('GET /rate_limit')),
    }
  }

  async function create(installation: { installationId?: number } = {}): Promise<Octokit> {
    const { Octokit, createAppAuth } = await loadOctokit()
    const given = { ...auth, ...installation }
    return checked(new Octokit({ ...options, authStrategy: createAppAuth, auth: given }))
  }
  let app: Octokit | undefined
  const found = new Map<string, { id: number; at: number }>()
  /** One for all repositories of an installation, since each holds a token of its own. */
  const octokits = new Map<number, Octokit>()

  async function find(repository: string): Promise<number> {
    const known = found.get(repository.toLowerCase())
    if (known) return known.id
    app ??= await create()
    try {
      const { data } = await app.apps.getRepoInstallation(atOf(repository))
      mustBeGitHub(typeof data.id === 'number')
      found.set(repository.toLowerCase(), { id: data.id, at: clock() })
      return data.id
    } catch (error) {
      throw new CredentialError('installation', repository, error)
    }
  }

  async function open(repository: string): Promise<Octokit> {
    const installationId = await find(repository)
    const octokit = octokits.get(installationId) ?? (await create({ installationId }))
    octokits.set(installationId, octokit)
    try {
      // Kept by auth-app, and renewed when its hour is nearly over.
      await octokit.auth({ type: 'installation' })
    } catch (error) {
      throw new CredentialError('token', repository, error)
    }
    return octokit
  }

  /** Whether what failed may be an installation that is no more; if so it is forgotten. */
  function forgets(repository: string, error: unknown): boolean {
    const known = found.get(repository.toLowerCase())
    const ofToken = error instanceof CredentialError && error.system === 'token'
    const cause = ofToken ? error.cause : error
    const status = cause instanceof RequestError && cause.response ? cause.status : 0
    const gone = ofToken
      ? status === 404 || status === 401
      : status === 401 || (status === 404 && clock() - (known?.at ?? 0) > LOOK_AGAIN_MS)
    if (!known || !gone) return false
    found.delete(repository.toLowerCase())
    octokits.delete(known.id)
    return true
  }

  return {
    kind: 'app',
    async check() {
      app ??= await create()
      await app.request('GET /app')
    },
    async use(repository, work) {
      try {
        return await work(await open(repository), atOf(repository))
      } catch (error) {
        if (!forgets(repository, error)) throw error
        return work(await open(repository), atOf(repository))
      }
    },
  }
}

/** What was asked for cannot be read from a page of a proxy. A dispatch reads its answer by itself. */
function checked(octokit: Octokit): Octokit {
  octokit.hook.after('request', ({ status, data }, { url, mediaType }) => {
    const isJson = mediaType?.format !== 'raw' && !url.endsWith('/dispatches')
    if (isJson && (status === 200 || status === 201) && isForeign(data))
      throw new Error(`something between the relay and GitHub responded with ${status}`)
  })
  return octokit
}

/** No request waits for ever, including those of auth-app. */
function fetchInTime(url: string, init: RequestInit = {}): Promise<Response> {
  return fetchLimited(url, { ...init, signal: init.signal ?? timeOut(TIMEOUT_MS) })
}

/** As the DOM's error of this name; of that one, a message cannot be changed to hide a secret. */
class TimeoutError extends Error {
  override name = 'TimeoutError'
  constructor() {
    super('No answer in time')
  }
}

/**
 * Aborts after the time-out. Where this process was suspended meanwhile (a sleeping machine, a stopped container), the
 * answer may have arrived: it then has the same time again to be read, so that the outcome of a dispatch is known.
 */
function timeOut(ms: number): AbortSignal {
  const controller = new AbortController()
  let due = Date.now() + ms
  const check = () => {
    const late = Date.now() - due
    if (late < STOOD_STILL_MS) return controller.abort(new TimeoutError())
    due += late + ms
    setTimeout(check, ms).unref()
  }
  setTimeout(check, ms).unref()
  return controller.signal
}

interface Loaded {
  Octokit: typeof Octokit
  createAppAuth: typeof createAppAuth
}

let loading: Promise<Loaded> | undefined

/** GitHub's client, which takes longer to load than the rest of the start together: loaded when it is first needed. */
function loadOctokit(): Promise<Loaded> {
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

/**
 * A credential that sends nothing while its gate is closed, whatever the request: dispatches, lists, jobs,
 * repositories.
 */
export function pausedCredential(
  credential: Credential,
  pauses: RateLimitPauses,
  clock: () => number,
): Credential {
  return {
    kind: credential.kind,
    /** @throws GateClosedError where nothing was sent */
    async use(repository, work) {
      const closed = pauses.closed(repository)
      if (closed) throw new PausedError(closed)
      try {
        return await credential.use(repository, work)
      } catch (error) {
        const limit = readLimit(error, clock(), pauses.tries(repository))
        if (limit) pauses.close(repository, limit.until, limit.reason, 'limit')
        throw error
      }
    },
  }
}

/** Shorter ones would hide parts of any text. */
const SHORTEST = 6
/** The form of GitHub's tokens, including those of installations, which are not in the configuration. */
const TOKENS = /\b(gh[a-z]_\w{20,}|github_pat_\w{20,})/g

/** A credential whose errors hold no secret: GitHub, or a proxy on the way, may quote what it was sent. */
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
          // That of a DOMException cannot be set.
          if (hidden !== each.message) each.message = hidden
          const data = each instanceof RequestError ? each.response?.data : null
          if (hasMessage(data)) data.message = hide(data.message)
        }
        throw error
      }
    },
  }
}

const hasMessage = (data: unknown): data is { message: string } =>
  typeof (data as { message?: unknown } | null | undefined)?.message === 'string'
