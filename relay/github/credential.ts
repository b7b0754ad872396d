import { RequestError } from '@octokit/request-error'
import type { Octokit } from '@octokit/rest'
import type { Config } from '../config/config.ts'
import { fetchBounded } from '../http/fetch-bounded.ts'
import { isForeign, mustBeGitHub } from './github-answer.ts'
import { loadOctokit, octokitOptions } from './octokit.ts'

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
  readonly stage: 'installation' | 'token'
  constructor(stage: 'installation' | 'token', repository: string, cause: unknown) {
    super(`No ${stage} of the GitHub App for ${repository}`, { cause })
    this.name = 'CredentialError'
    this.stage = stage
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

/** @param onAnswer called with each answer, null where none came, and when its request was sent by `performance.now()` */
export function createCredential(
  { apiUrl, auth }: Config['github'],
  clock: () => number,
  onAnswer: (answer: Response | null, sentAt: number) => void = () => {},
): Credential & CredentialCheck {
  const options = octokitOptions(apiUrl, async (url, init) => {
    const sentAt = performance.now()
    const response = await fetchInTime(url, init).catch(error => {
      onAnswer(null, sentAt)
      throw error
    })
    onAnswer(response, sentAt)
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
    const ofToken = error instanceof CredentialError && error.stage === 'token'
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
      throw new Error(`something between the relay and GitHub answered ${status}`)
  })
  return octokit
}

/** No request waits for ever, including those of auth-app. */
function fetchInTime(url: string, init: RequestInit = {}): Promise<Response> {
  return fetchBounded(url, { ...init, signal: init.signal ?? timeOut(TIMEOUT_MS) })
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
