import type { JWTPayload, JWTVerifyGetKey } from 'jose'
import { z } from 'zod'
import { LIMITS } from '../config/limits.ts'
import { fetchLimited } from '../config/outgoing.ts'
import { Problem } from '../http/problem.ts'
import type { ThrottledLog } from '../log.ts'

/** GitHub writes the numbers in claims as decimal strings. */
const decimal = z.string().regex(/^[1-9]\d{0,14}$/)

const runClaims = z
  .object({
    ...{ event_name: z.string(), repository: z.string(), repository_id: z.string(), ref: z.string() },
    ...{ workflow_ref: z.string().catch(''), run_id: decimal, run_attempt: decimal },
  })
  .transform(({ repository, ref, ...claims }) => ({
    eventName: claims.event_name,
    repository,
    /** The repository's ID in decimal. A rename doesn't change it. */
    repositoryId: claims.repository_id,
    ref,
    /** Such as `acme/shop/.github/workflows/deploy.yml@refs/heads/main`; empty if the token lacks this claim. */
    workflowRef: claims.workflow_ref,
    runId: Number(claims.run_id),
    runAttempt: Number(claims.run_attempt),
  }))

export type RunClaims = z.output<typeof runClaims>

interface OidcDeps {
  issuer: string
  audience: string
  clock: () => number
  throttled: Pick<ThrottledLog, 'warn'>
  /** The minimum time between two requests for keys. */
  cooldownMs?: number
  cacheMs?: number
  timeoutMs?: number
}

const LEEWAY_S = 30

/**
 * Creates a function that verifies GitHub's OIDC tokens. The keys come from the issuer's JWKS, never from a token. The
 * claim `sub` isn't used, because each owner can change its format.
 * @returns a function that throws Problem 401 for an invalid token, and 503 if the JWKS is unavailable or may lack a
 * new key
 * @see https://docs.github.com/actions/reference/security/oidc
 */
export function createOidcVerifier(deps: OidcDeps): (token: string | null) => Promise<RunClaims> {
  const { issuer, audience, clock, throttled } = deps
  const keys = createIssuerKeys(deps)

  return async token => {
    if (token === null) throw refuse('there is no bearer token')
    if (token.length > LIMITS.oidcToken) throw refuse(`the token has ${token.length} characters`)
    // jose is loaded on first use, so that the relay starts faster.
    const { decodeJwt, jwtVerify } = await import('jose')
    let payload: JWTPayload
    try {
      // The issuer is checked before the signature, because looking up a key can cause a request to the issuer.
      if (decodeJwt(token).iss !== issuer) throw new Error('the token is from another issuer')
      const verified = await jwtVerify(token, keys, {
        algorithms: ['RS256'],
        issuer,
        audience,
        clockTolerance: LEEWAY_S,
        maxTokenAge: LIMITS.oidcTokenAge / 1000,
        requiredClaims: ['exp', 'iat', 'nbf'],
        currentDate: new Date(clock()),
      })
      payload = verified.payload
    } catch (error) {
      if (error instanceof KeysUnknown) throw postpone(error)
      throw refuse((error as Error).message)
    }
    // A token with several audiences is also valid for other recipients, so it is refused.
    if (payload.aud !== audience) throw refuse("the token's audience is a list")
    const { data } = runClaims.safeParse(payload)
    if (!data) throw refuse('a required claim is missing or invalid')
    return data
  }

  /** Logs the reason, and returns the refusal. The log shows no part of the token. */
  function refuse(reason: string): Problem {
    throttled.warn({ reason }, "a report was refused: its OIDC token isn't accepted")
    return new Problem(
      401,
      `The OIDC token isn't accepted: GitHub must have issued it within the last few minutes for the audience ${audience}. The relay's log shows the reason.`,
      { 'www-authenticate': 'Bearer' },
    )
  }

  function postpone({ message, retryMs }: KeysUnknown): Problem {
    throttled.warn({ issuer }, 'a report was refused for now: the key of its OIDC token is unknown')
    return new Problem(503, message, { 'retry-after': String(Math.max(Math.ceil(retryMs / 1000), 1)) })
  }
}

class KeysUnknown extends Error {
  readonly retryMs: number
  constructor(message: string, retryMs: number) {
    super(message)
    this.retryMs = retryMs
  }
}

/** How long the relay uses cached keys while the issuer doesn't respond. */
const LONGEST_MS = 24 * 3_600_000

const NONE =
  "The relay can't read the keys of GitHub's OIDC issuer (GITHUB_OIDC_ISSUER) now, and accepts no report without them. Send the report again."
const NEWER =
  "The relay doesn't know the key of this OIDC token. It requests new keys from GitHub's OIDC issuer (GITHUB_OIDC_ISSUER) every few seconds. Send the report again."

/**
 * Creates a cache of the issuer's JWKS, which stays usable while the issuer is unavailable.
 * @returns a function for `jwtVerify`. It throws KeysUnknown if the JWKS is unavailable or may be outdated, and
 *   JWKSNoMatchingKey if a freshly fetched JWKS lacks the key
 */
export function createIssuerKeys(deps: Omit<OidcDeps, 'audience' | 'clock'>): JWTVerifyGetKey {
  const { issuer, throttled, cooldownMs = LIMITS.oidcKeys, cacheMs = 600_000, timeoutMs = 5_000 } = deps
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
      if ((error as { code?: string }).code !== 'ERR_JWKS_NO_MATCHING_KEY') throw error
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

  /** Fetches the JWKS. Concurrent calls share one request. */
  function ask(): Promise<void> {
    asking ??= fetchSet().finally(() => {
      asking = null
      asked = performance.now()
    })
    return asking
  }

  async function fetchSet(): Promise<void> {
    try {
      const response = await fetchLimited(`${issuer}/.well-known/jwks`, {
        headers: { accept: 'application/json' },
        redirect: 'manual',
        signal: AbortSignal.timeout(timeoutMs),
      })
      if (response.status !== 200) throw new Error(`the issuer responded with ${response.status}`)
      const given = (await response.json()) as { keys: object[] }
      const keys = (await import('jose')).createLocalJWKSet(given)
      if (given.keys.length === 0) throw new Error('the JWKS has no keys')
      set = { keys, at: performance.now() }
    } catch (error) {
      throttled.warn(
        { err: error, issuer },
        `OIDC keys unavailable; ${set ? 'the known keys are kept' : 'reports are rejected'}`,
      )
    }
  }
}
