import { hkdfSync } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import { Problem } from '../http/problem.ts'

/** What a report token is bound to: one attempt of a workflow run, for one delivery. */
export interface BoundRun {
  delivery: string
  runId: number
  runAttempt: number
}

export interface ReportTokens {
  mint(bound: BoundRun): Promise<{ token: string; expiresAt: number }>
  /**
   * `renew`: whether half of the token's lifetime has passed.
   * @throws Problem 401, with the same message for every reason
   */
  verify(token: string | null): Promise<BoundRun & { renew: boolean }>
}

export interface ReportTokenDeps {
  /**
   * The relay's GitHub credential. Its owner could start a run and get a report token anyway, so a key derived from the
   * credential grants no additional rights. A webhook secret may belong to another organization.
   */
  secret: string
  /** RELAY_PUBLIC_URL */
  audience: string
  lifetimeMs: number
  clock: () => number
  log: { warn: (fields: object, message: string) => void }
}

const TYPE = 'port-report+jwt'
const MAX_TOKEN = 2_000

/**
 * Report tokens, signed with a key derived from a relay secret. Every relay with the same configuration accepts them,
 * even after a restart, and they needn't be stored.
 */
export function createReportTokens(deps: ReportTokenDeps): ReportTokens {
  const { audience, lifetimeMs, clock, log } = deps
  const key = deriveKey(deps.secret)

  return {
    async mint({ delivery, runId, runAttempt }) {
      const now = Math.floor(clock() / 1000)
      const expires = now + Math.ceil(lifetimeMs / 1000)
      const token = await new SignJWT({ run_id: runId, run_attempt: runAttempt })
        .setProtectedHeader({ alg: 'HS256', typ: TYPE })
        .setSubject(delivery)
        .setAudience(audience)
        .setIssuedAt(now)
        .setExpirationTime(expires)
        .sign(key)
      return { token, expiresAt: expires * 1000 }
    },
    async verify(token) {
      if (token === null) throw refuse('there is no bearer token')
      if (token.length > MAX_TOKEN) throw refuse(`it has ${token.length} characters`)
      try {
        const { payload } = await jwtVerify(token, key, {
          algorithms: ['HS256'],
          typ: TYPE,
          audience,
          requiredClaims: ['exp', 'sub', 'run_id', 'run_attempt'],
          currentDate: new Date(clock()),
        })
        return {
          delivery: String(payload.sub),
          runId: Number(payload.run_id),
          runAttempt: Number(payload.run_attempt),
          renew: Number(payload.exp) * 1000 - clock() < lifetimeMs / 2,
        }
      } catch (error) {
        throw refuse((error as Error).message)
      }
    },
  }

  function refuse(reason: string): Problem {
    log.warn({ reason }, 'a report was refused: its report token is not accepted')
    return new Problem(
      401,
      'The report token is not accepted: it must be the one that POST /report/start gave to this workflow run.',
      { 'www-authenticate': 'Bearer' },
    )
  }
}

/** A key for this purpose only. The secret can't be derived from it. */
function deriveKey(secret: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', 'port-webhook-action report token, version 1', 32))
}
