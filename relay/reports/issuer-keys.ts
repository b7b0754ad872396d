import { createLocalJWKSet, errors, type JWTVerifyGetKey } from 'jose'
import { fetchBounded } from '../http/fetch-bounded.ts'
import type { Trouble } from '../log/trouble.ts'

export interface IssuerKeysDeps {
  /** Of GITHUB_OIDC_ISSUER. */
  issuer: string
  trouble: Pick<Trouble, 'warn'>
  /** The issuer is asked no more often than this, whatever tokens arrive: they may be forged. */
  cooldownMs: number
  /** How old the set becomes before it is asked for again. */
  cacheMs: number
  timeoutMs: number
}

/** A token cannot be verified now; the message is for its sender. */
export class KeysUnknown extends Error {
  /** Until the issuer can be asked again. */
  readonly retryMs: number
  constructor(message: string, retryMs: number) {
    super(message)
    this.name = 'KeysUnknown'
    this.retryMs = retryMs
  }
}

/** How long known keys are accepted while the issuer does not answer. */
const LONGEST_MS = 24 * 3_600_000

const NONE =
  "The relay cannot get the keys of GitHub's OIDC issuer (GITHUB_OIDC_ISSUER) now, and accepts no report without them. Send the report again."
const NEWER =
  "The relay does not know the key of this OIDC token; it asks GitHub's OIDC issuer (GITHUB_OIDC_ISSUER) for new keys every few seconds. Send the report again."

/**
 * The issuer's key set, fetched once and kept, also while the issuer is unavailable.
 *
 * @returns a function that gives the key of a token, for `jwtVerify`. It throws KeysUnknown where the set
 *   is unavailable or the key may be newer than it, and JWKSNoMatchingKey where the issuer has just given a set without it
 */
export function createIssuerKeys(deps: IssuerKeysDeps): JWTVerifyGetKey {
  const { issuer, trouble, cooldownMs, cacheMs, timeoutMs } = deps
  let set: { keys: JWTVerifyGetKey; at: number } | null = null
  let asked = Number.NEGATIVE_INFINITY
  let asking: Promise<void> | null = null

  return async (header, token) => {
    const now = performance.now()
    const asks = asking !== null || ((!set || now - set.at >= cacheMs) && now - asked >= cooldownMs)
    if (asks) await ask()
    try {
      return await known()(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      if (set && set.at >= now) throw error
      const wait = asked + cooldownMs - performance.now()
      if (wait > 0) throw new KeysUnknown(NEWER, wait)
      await ask()
      if (set && set.at >= now) return known()(header, token)
      throw new KeysUnknown(NEWER, cooldownMs)
    }
  }

  function known(): JWTVerifyGetKey {
    if (set && performance.now() - set.at < LONGEST_MS) return set.keys
    throw new KeysUnknown(NONE, Math.max(asked + cooldownMs - performance.now(), 0))
  }

  /** Concurrent calls share one request. */
  function ask(): Promise<void> {
    asking ??= fetchSet().finally(() => {
      asking = null
      asked = performance.now()
    })
    return asking
  }

  async function fetchSet(): Promise<void> {
    try {
      const response = await fetchBounded(`${issuer}/.well-known/jwks`, {
        headers: { accept: 'application/json' },
        redirect: 'manual',
        signal: AbortSignal.timeout(timeoutMs),
      })
      if (response.status !== 200) throw new Error(`it answered ${response.status}`)
      const given = (await response.json()) as { keys: object[] }
      const keys = createLocalJWKSet(given)
      if (given.keys.length === 0) throw new Error('its set has no keys')
      set = { keys, at: performance.now() }
    } catch (error) {
      trouble.warn(
        { err: error, issuer },
        `OIDC keys unavailable; ${set ? 'the known keys are kept' : 'reports are rejected'}`,
      )
    }
  }
}
