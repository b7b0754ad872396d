import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { BoundedMap } from '../cache.ts'
import { LIMITS } from '../config/limits.ts'
import { type Delivery, type DeliveryRun, OPEN_STATES } from '../delivery/delivery.ts'
import { isCurrent, isNamed, startEvent } from '../delivery/match.ts'
import type { RepositoryFacts } from '../github/repository.ts'
import type { RunReader, WorkflowRun } from '../github/runs.ts'
import { Problem } from '../http/problem.ts'
import type { ThrottledLog } from '../log.ts'
import type { Store } from '../store/store.ts'
import type { RunClaims } from './oidc.ts'

type Log = Pick<ThrottledLog, 'warn'>

/** Returns the delivery of a report token. @throws Problem 403, 410 if the delivery isn't bound to the token's run and attempt */
export async function boundDelivery(
  message: { delivery: string },
  bound: BoundRun,
  { store, log }: { store: Pick<Store, 'get' | 'clock'>; log: Log },
): Promise<Delivery> {
  const delivery = message.delivery === bound.delivery ? await store.get(bound.delivery) : null
  if (!delivery || !isBound(delivery, bound)) throw refuseUnbound(log, message.delivery, bound)
  if (hasClosed(delivery, store.clock())) throw refuseFinished()
  return delivery
}

export const isBound = ({ runs }: Delivery, { runId, runAttempt }: BoundRun) =>
  runs.some(run => !run.past && run.evidence === 'report' && run.id === runId && run.attempt === runAttempt)

const hasClosed = ({ state, updatedAt }: Delivery, now: number) =>
  !OPEN_STATES.includes(state) && now > updatedAt + LIMITS.reportGrace

export const refuseFinished = () =>
  new Problem(
    410,
    'The delivery has finished, so its inputs are no longer available. For one minute, the relay still accepts log lines. To start over, run the action in Port again.',
  )

export function refuseUnbound(log: Log, delivery: string, { runId, runAttempt }: BoundRun): Problem {
  log.warn(
    { delivery, github_run_id: runId, attempt: runAttempt },
    'a report was refused: its token belongs to another delivery, or to an earlier run or attempt of this delivery',
  )
  return new Problem(
    403,
    'This report token belongs to another delivery, or to an earlier run or attempt of this delivery.',
  )
}

export interface Asked {
  claims: RunClaims
  delivery: Delivery
  facts: RepositoryFacts
  recorded: (Pick<DeliveryRun, 'attempt'> & { delivery: string }) | undefined
}

export type Check = (asked: Asked) => string | null | Promise<string | null>

export function checkRepository({ claims, facts: { id } }: Asked): string | null {
  return claims.repositoryId === String(id)
    ? null
    : `the run belongs to ${claims.repository} (repository id ${claims.repositoryId}), but the delivery was dispatched to repository id ${id}`
}

/** Returns why the delivery's dispatch can't have started the run, according to the run's claims; null if it could have. */
export function checkDispatch({ claims, delivery, facts: { defaultBranch } }: Asked): string | null {
  const { workflow, ref, attemptedAt } = delivery
  if (attemptedAt === null) return "the delivery hasn't been dispatched"
  const event = startEvent({ workflow })
  if (claims.eventName !== event)
    return `the run was started by ${claims.eventName}, but the delivery's runs are started by ${event}`
  // GitHub starts a repository_dispatch only on the default branch.
  const refs = workflow === null || ref === null ? [`refs/heads/${defaultBranch}`] : refNames(ref)
  if (!refs.includes(claims.ref)) return `the run is on ${claims.ref}, but the dispatch was to ${refs[0]}`
  // The workflow's file name can contain "@", too.
  const file = claims.workflowRef
    .replace(/@refs\/.*$/s, '')
    .split('/')
    .at(-1)
  const isFile = workflow !== null && /\.ya?ml$/i.test(workflow)
  return isFile && file !== workflow.split('/').at(-1)
    ? `the run's workflow is ${file}, but the delivery's workflow is ${workflow}`
    : null
}

export function checkPast({ claims: { runId }, delivery: { runs } }: Asked): string | null {
  const known = runs.filter(run => run.id === runId)
  return known.length > 0 && known.every(run => run.past)
    ? 'the run belonged to the delivery before the delivery was redelivered'
    : null
}

export function checkRecorded({ claims, delivery, recorded }: Asked): string | null {
  if (!recorded) return null
  if (recorded.delivery !== delivery.id) return 'the run belongs to another delivery'
  return recorded.attempt > claims.runAttempt
    ? `a later attempt of the run (attempt ${recorded.attempt}) has started`
    : null
}

/** The tolerance for GitHub's times, which are in whole seconds. */
const LEEWAY_MS = 10_000

/**
 * Returns why the dispatch can't have started the run, according to the run's title or creation time; null if it could
 * have.
 * @param namesAnother whether the title contains the ID of another delivery, but not this delivery's ID
 * @param clocks durations in milliseconds; `clockOffset`: GitHub's time minus the relay's time
 */
export function checkTitleAndTime(
  run: Pick<WorkflowRun, 'title' | 'createdAt'>,
  delivery: Delivery,
  namesAnother: boolean,
  clocks: { clockOffset: number; startTimeout: number },
): string | null {
  if (namesAnother) return "the run's title contains another delivery's id"
  const dispatchedAt = (delivery.attemptedAt ?? delivery.queuedAt) + clocks.clockOffset
  const isAfter = isNamed(run.title, delivery)
    ? isCurrent(run, delivery, clocks)
    : run.createdAt >= dispatchedAt - LEEWAY_MS
  return isAfter ? null : 'the run was created before the dispatch'
}

const refNames = (ref: string) =>
  ref.startsWith('refs/') ? [ref] : [`refs/heads/${ref}`, `refs/tags/${ref}`]

export type RunOrigin = Pick<WorkflowRun, 'title' | 'createdAt'>

/**
 * Creates a function that reads a run's title and creation time once. If GitHub doesn't return the run, the
 * function returns null, and the next call asks GitHub again.
 */
export function createRunOrigins(github: Pick<RunReader, 'run'>) {
  const known = new BoundedMap<string, Promise<RunOrigin | null>>(LIMITS.knownRuns)

  return (repository: string, runId: number) => {
    const key = `${repository.toLowerCase()} ${runId}`
    const origin = known.get(key) ?? read(repository, runId, key)
    known.set(key, origin)
    return origin
  }

  async function read(repository: string, runId: number, key: string): Promise<RunOrigin | null> {
    const response = await github.run(repository, runId, null).catch(() => null)
    if (response?.data) return { title: response.data.title, createdAt: response.data.createdAt }
    known.delete(key)
    return null
  }
}

export type BoundRun = { delivery: string; repository: string; runId: number; runAttempt: number }

export type ReportTokens = ReturnType<typeof createReportTokens>

const TYPE = 'port-report+jwt'

/**
 * Creates functions for report tokens. Tokens aren't stored. Every relay with the same configuration accepts them.
 * @param secret the relay's GitHub credential, from which the key of the tokens is derived
 */
export function createReportTokens(
  deps: Record<'secret' | 'audience', string> & { lifetimeMs: number; clock: () => number; log: Log },
) {
  const { secret, audience, lifetimeMs, clock, log } = deps
  const key = deriveKey(secret)

  return {
    async mint({ delivery, repository, runId, runAttempt }: BoundRun) {
      const { SignJWT } = await import('jose')
      const now = Math.floor(clock() / 1000)
      const expires = now + Math.ceil(lifetimeMs / 1000)
      const token = await new SignJWT({ repository, run_id: runId, run_attempt: runAttempt })
        .setProtectedHeader({ alg: 'HS256', typ: TYPE })
        .setSubject(delivery)
        .setAudience(audience)
        .setIssuedAt(now)
        .setExpirationTime(expires)
        .sign(key)
      return { token, expiresAt: expires * 1000 }
    },
    /** Verifies a token. `renew`: whether half of its lifetime has passed. @throws Problem 401, with the same message for every reason */
    async verify(token: string | null): Promise<BoundRun & { renew: boolean }> {
      if (token === null) throw refuse('there is no bearer token')
      try {
        const { payload } = await (await import('jose')).jwtVerify(token, key, {
          algorithms: ['HS256'],
          typ: TYPE,
          audience,
          requiredClaims: ['exp', 'sub', 'repository', 'run_id', 'run_attempt'],
          currentDate: new Date(clock()),
        })
        return {
          delivery: String(payload.sub),
          repository: String(payload.repository),
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
    log.warn({ reason }, "a report was refused: its report token isn't accepted")
    return new Problem(
      401,
      "The report token isn't accepted: it must be the token that POST /report/start returned to this workflow run.",
      { 'www-authenticate': 'Bearer' },
    )
  }
}

function deriveKey(secret: string): KeyObject {
  const info = 'port-webhook-action report token, version 1'
  // The result is a KeyObject, because jose would import raw bytes again for each token.
  return createSecretKey(new Uint8Array(hkdfSync('sha256', secret, '', info, 32)))
}
