import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from 'hono'
import { decryptSecretInput } from '../../port/secrets.ts'
import type { Invocation, RunState } from '../../port/types.ts'
import { LIMITS } from '../config/limits.ts'
import { type Delivery, type DeliveryRun, OPEN_STATES } from '../delivery/delivery.ts'
import { boundRun, isNamed, isOfAnother } from '../delivery/match.ts'
import type { BodyReservation } from '../http/body-memory.ts'
import { Problem } from '../http/problem.ts'
import { bearer, limitRate, type TokenBuckets } from '../http/request.ts'
import type { RouteDeps } from '../route-deps.ts'
import type { Store } from '../store/store.ts'
import type { FindByTitle } from '../workers/find-runs.ts'
import type { Asked, Check, createRunOrigins, ReportTokens } from './authorize.ts'
import {
  checkDispatch,
  checkPast,
  checkRecorded,
  checkRepository,
  checkTitleAndTime,
  refuseFinished,
} from './authorize.ts'
import type { createOidcVerifier, RunClaims } from './oidc.ts'
import { parseMessage, readBytes, startMessage } from './report.ts'
import type { createRepositoryFacts } from './repository-facts.ts'

interface StartDeps extends Pick<RouteDeps, 'store' | 'github' | 'apply' | 'port' | 'log' | 'throttled'> {
  isAllowed: (repository: string) => boolean
  originOf: ReturnType<typeof createRunOrigins>
  findByTitle: FindByTitle
  startTimeout: number
  verify: ReturnType<typeof createOidcVerifier>
  factsOf: ReturnType<typeof createRepositoryFacts>
  tokens: ReportTokens
  rate: TokenBuckets
  shareInputs: ReturnType<typeof createShareInputs>
}

/** The time limit for reading the Port run. The limit is short, because a job is waiting for the response. */
const READ_MS = 3_000

/**
 * `POST /report/start`: binds a workflow run to the delivery whose dispatch started it. GitHub's OIDC token identifies
 * the run. The response contains a report token, the Port run's state, the items that the payload omits, and the
 * decrypted secret inputs.
 * @throws Problem 400, 401, 403, 409, 410, 413, 429, 503
 */
export function createStart(deps: StartDeps): (c: Context, room: BodyReservation) => Promise<Response> {
  const { isAllowed, store, github, apply, port, tokens, log } = deps

  const checks: Check[] = [
    checkRepository,
    // The claims can contain the old name of a renamed or transferred repository.
    ({ facts: { fullName } }) =>
      isAllowed(fullName) ? null : `its repository is now ${fullName}, which isn't allowed`,
    checkDispatch,
    refuseDuplicate,
    checkPast,
    checkRecorded,
    checkTitle,
  ]

  return async (c, room) => {
    const claims = await deps.verify(bearer(c))
    // A workflow in any repository can get an OIDC token.
    if (!isAllowed(claims.repository)) throw refuse(null, claims, "its repository isn't allowed")
    const sentence = `A workflow run can send at most ${LIMITS.reportStartRate} start requests per minute. Retry after the time in the Retry-After header.`
    limitRate(deps.rate, String(claims.runId), sentence)
    const message = parseMessage(await readBytes(c, LIMITS.reportStartBody, room), startMessage)
    const { delivery: id, complete, finishes } = message
    const delivery = await bind(id, claims, finishes)
    const given = await deps.shareInputs(delivery, complete)
    const isEmpty = given.payload === null && Object.keys(given.secrets).length === 0
    // A response without the secret inputs would make the action treat no input as secret.
    if (!OPEN_STATES.includes(delivery.state) && !isEmpty) throw refuseFinished()
    const minting = tokens.mint({ delivery: id, ...claims })
    const [{ token, expiresAt }, run] = await Promise.all([minting, readRun(delivery)])
    const reports = port.canReport(delivery)
    return c.json({ token, expires_at: new Date(expiresAt).toISOString(), reports, run, ...given })
  }

  /** Checks the delivery, and binds the run to it. If the delivery changes in the meantime, checks the new version. */
  async function bind(id: string, claims: RunClaims, reportsConclusion: boolean): Promise<Delivery> {
    const { runId, runAttempt } = claims
    for (let refusedOn = -1; ; ) {
      const found = await store.get(id)
      if (!found) throw refuse(id, claims, "the delivery doesn't exist")
      const { repository, version } = found
      const facts = await deps.factsOf(repository)
      const [recorded] = await store.findRuns(repository, [runId])
      for (const check of checks) {
        const reason = await check({ claims, delivery: found, facts, recorded })
        if (reason !== null) throw refuse(id, claims, reason)
      }
      const url = `${github.serverUrl}/${repository}/actions/runs/${runId}`
      const run = {
        ...{ id: runId, attempt: runAttempt, evidence: 'report' as const, past: false },
        ...{ status: 'in_progress', conclusion: null, url, reportsConclusion },
      }
      const event = { type: 'runReported' as const, run }
      const { outcome, delivery } = await apply(found, event, { strict: true })
      if (outcome !== 'conflict') return delivery
      if (version === refusedOn) throw refuse(id, claims, 'another delivery is bound to this run')
      refusedOn = version
    }
  }

  /** Checks the run's title and creation time. Checks nothing if GitHub doesn't return the run. */
  async function checkTitle({ claims, delivery, recorded }: Asked): Promise<string | null> {
    if (recorded) return null
    const run = await within(READ_MS, deps.originOf(delivery.repository, claims.runId))
    if (!run) return null
    const { repository } = delivery
    const rivals = isNamed(run.title, delivery) ? [] : await deps.findByTitle(repository, [run.title])
    const clocks = { clockOffset: github.clockOffset() ?? 0, startTimeout: deps.startTimeout }
    return checkTitleAndTime(run, delivery, isOfAnother(run, rivals, clocks), clocks)
  }

  /** Refuses a second run of a delivery. @throws Problem 409 if another run is bound to the delivery */
  function refuseDuplicate({ claims: { runId }, delivery }: Asked): null {
    const isOther = (run: DeliveryRun) =>
      !run.past && run.id !== runId && ['response', 'report', 'port'].includes(run.evidence)
    if (!delivery.runs.some(isOther)) return null
    const first = boundRun(delivery)?.id ?? null
    log.warn(
      { delivery: delivery.id, run: delivery.runId, github_run_id: runId, first },
      'a report was refused: the delivery has another workflow run',
    )
    throw new Problem(
      409,
      `The delivery already belongs to another workflow run, ${first}; this run is ${runId}.`,
      {},
      { duplicate: true, github_run_id: first },
    )
  }

  /** Returns a refusal that hides the reason, because a workflow in any repository can send a start request. */
  function refuse(id: string | null, claims: RunClaims, reason: string): Problem {
    const target = id === null ? deps.throttled : log
    target.warn(
      { delivery: id, repository: claims.repository, github_run_id: claims.runId, reason },
      "a report was refused: this run can't report for the delivery",
    )
    return new Problem(
      403,
      "This workflow run can't report for this delivery. Only the workflow run that the delivery's dispatch started can report, from the repository and branch of the dispatch. The relay's log shows what doesn't match.",
    )
  }

  /** Reads the Port run. `ended`: whether the Port run has finished, or the outbox contains its conclusion. */
  async function readRun(delivery: Delivery) {
    const reading = port.read(delivery).then(run => (run === 'unread' ? null : run))
    const read: RunState | null = await within(READ_MS, reading)
    // If Port shows the ID of a past run, the current run isn't a duplicate.
    const isPast = delivery.runs.some(run => run.past && String(run.id) === read?.externalRunId)
    return {
      status: read?.status ?? 'unknown',
      ended: read?.finished === true || !OPEN_STATES.includes(delivery.state),
      synchronized: read?.synchronized ?? false,
      external_run_id: isPast ? null : (read?.externalRunId ?? null),
    }
  }
}

/** Returns null if reading fails, or takes longer than `ms`. */
const within = <T>(ms: number, reading: Promise<T>): Promise<T | null> =>
  Promise.race([reading.catch(() => null), sleep(ms, null, { ref: false })])

export interface ShareInputs {
  /** The items that the payload omits. */
  payload: Pick<Invocation, 'inputs' | 'encrypted' | 'entity' | 'event'> | null
  /** The decrypted secret inputs. Inputs that the relay can't decrypt are omitted. */
  secrets: Record<string, string>
}

/** Reads and decrypts the inputs. @param complete whether the job requests the items that the payload omits */
export const createShareInputs =
  (store: Pick<Store, 'invocation'>, clientSecrets: readonly string[]) =>
  async ({ id }: Pick<Delivery, 'id'>, complete: boolean): Promise<ShareInputs> => {
    const text = await store.invocation(id)
    if (text === null) return { payload: null, secrets: {} }
    const { inputs, encrypted, entity, event } = JSON.parse(text) as Invocation
    const keys = clientSecrets.map(clientSecret => ({ scheme: 'aes256-gcm' as const, clientSecret }))
    const secrets: [string, string][] = []
    for (const name of encrypted) {
      const value = Object.hasOwn(inputs, name) ? inputs[name] : undefined
      const clear = typeof value === 'string' ? decryptSecretInput(value, keys) : null
      if (clear !== null) secrets.push([name, clear])
    }
    const payload = complete ? { inputs, encrypted, entity, event } : null
    return { payload, secrets: Object.fromEntries(secrets) }
  }
