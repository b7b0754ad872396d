import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from 'hono'
import type { RunState } from '../../port/types.ts'
import { BOUNDS } from '../config/bounds.ts'
import type { ApplyEvent } from '../deliveries/apply-event.ts'
import type { FindNamed } from '../deliveries/binding/find-named.ts'
import { isNamed, isOfAnother } from '../deliveries/binding/match-runs.ts'
import type { PortAccess } from '../deliveries/port-access.ts'
import { boundRun } from '../deliveries/transition/runs.ts'
import type { GitHub } from '../github/client.ts'
import type { RepositoryFacts } from '../github/read-repository.ts'
import { bearer } from '../http/bearer.ts'
import type { BodyRoom } from '../http/body-memory.ts'
import { Problem } from '../http/problem.ts'
import { refuseOverRate, type TokenBuckets } from '../http/token-bucket.ts'
import { type Delivery, OPEN_STATES } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'
import { refuseEnded } from './bound-delivery.ts'
import { checkRepository, checkRun, checkRuns, checkTarget } from './check-claims.ts'
import type { createHandOut } from './hand-out.ts'
import { readMessage, startMessage } from './read-message.ts'
import type { ReportTokens } from './report-token.ts'
import type { RunOrigin } from './run-origins.ts'
import type { RunClaims } from './verify-oidc.ts'

export interface StartDeps {
  /** Whether RELAY_ALLOWED_REPOSITORIES names the repository. */
  isAllowed: (repository: string) => boolean
  store: Pick<Store, 'get' | 'findRuns'>
  github: Pick<GitHub, 'serverUrl' | 'clockOffset'>
  /** Title of the run and when it was created, where GitHub shows it. */
  originOf: (repository: string, runId: number) => Promise<RunOrigin | null>
  apply: ApplyEvent
  port: PortAccess
  findNamed: FindNamed
  /** RELAY_START_TIMEOUT, milliseconds. */
  startTimeout: number
  verify: (token: string | null) => Promise<RunClaims>
  factsOf: (repository: string, claims: RunClaims, isOnDefaultBranch: boolean) => Promise<RepositoryFacts>
  tokens: Pick<ReportTokens, 'mint'>
  /** Starts a minute, of each workflow run. */
  rate: TokenBuckets
  handOut: ReturnType<typeof createHandOut>
  log: { info: (fields: object, message: string) => void; warn: (fields: object, message: string) => void }
}

/** A job waits for this answer. */
const READ_MS = 3_000

/**
 * `POST /report/start`: a workflow run proves by GitHub's OIDC token that it is the one which a delivery
 * started. It is bound to the delivery, and gets a report token, the state of Port's run, what did not fit its
 * payload, and its secret inputs in clear text. A second run gets 409 only.
 *
 * @throws Problem 400, 401, 403, 410, 413, 429, 503
 */
export function createStart(deps: StartDeps): (c: Context, room: BodyRoom) => Promise<Response> {
  const {
    isAllowed,
    store,
    github,
    originOf,
    apply,
    port,
    findNamed,
    startTimeout,
    verify,
    factsOf,
    tokens,
    rate,
    log,
  } = deps

  return async (c, room) => {
    const claims = await verify(bearer(c))
    // Before the body is read: the runs of any repository on GitHub can get OIDC tokens.
    if (!isAllowed(claims.repository)) throw refuse(null, claims, 'its repository is not allowed')
    const waitMs = rate.take(String(claims.runId))
    if (waitMs > 0) {
      const sentence = `A workflow run may start to report ${BOUNDS.reportStartRate.value} times a minute: wait.`
      throw refuseOverRate(sentence, waitMs)
    }
    const message = await readMessage(c, startMessage, BOUNDS.reportStartBody.value, room)
    const { delivery: id, complete, ends } = message
    const { delivery, isDuplicate } = await bind(id, claims, ends)
    if (isDuplicate) return answerDuplicate(c, delivery, claims)
    const given = await deps.handOut(delivery, complete)
    const isEmpty = given.payload === null && Object.keys(given.secrets).length === 0
    // Without an answer that lists them, the action would take nothing for secret.
    if (!OPEN_STATES.includes(delivery.state) && !isEmpty) throw refuseEnded()
    const [{ token, expiresAt }, run] = await Promise.all([
      tokens.mint({ delivery: id, runId: claims.runId, runAttempt: claims.runAttempt }),
      readRun(delivery),
    ])
    return c.json({
      token,
      expires_at: new Date(expiresAt).toISOString(),
      tells: port.canReport(delivery),
      run,
      ...given,
    })
  }

  /** The claims may hold a name from before the repository was renamed or moved. */
  function checkName({ fullName }: RepositoryFacts): string | null {
    return isAllowed(fullName) ? null : `its repository is now ${fullName}, which is not allowed`
  }

  /**
   * Binds the run to the delivery as it was checked: if another change came first, it is read and checked again. A
   * delivery that has finished stays as it is.
   */
  async function bind(
    id: string,
    claims: RunClaims,
    reportsEnd: boolean,
  ): Promise<{ delivery: Delivery; isDuplicate: boolean }> {
    const { runId, runAttempt, jti, expiresAt } = claims
    for (let refusedOn = -1; ; ) {
      const found = await store.get(id)
      if (!found) throw refuse(id, claims, 'there is no such delivery')
      const facts = await factsOf(found.repository, claims, found.workflow === null || found.ref === null)
      const reason = checkRepository(claims, facts) ?? checkName(facts) ?? checkTarget(claims, found, facts)
      if (reason !== null) throw refuse(id, claims, reason)
      const conflict = checkRuns(claims, found)
      if (conflict === 'past')
        throw refuse(id, claims, 'it was the run of the delivery before it was redelivered')
      if (conflict === 'duplicate') return { delivery: found, isDuplicate: true }
      const [owned] = await store.findRuns(found.repository, [runId])
      if (owned && owned.delivery !== id) throw refuse(id, claims, 'it is the run of another delivery')
      if (owned && owned.attempt > runAttempt) {
        throw refuse(id, claims, `a later attempt of the run, ${owned.attempt}, has started`)
      }
      if (!owned) await checkTitleAndTime(found, claims)

      const url = `${github.serverUrl}/${found.repository}/actions/runs/${runId}`
      const run = {
        ...{ id: runId, attempt: runAttempt, evidence: 'report' as const, past: false },
        ...{ status: 'in_progress', conclusion: null, url, reportsEnd },
      }
      const event = { type: 'runReported' as const, run }
      const { outcome, delivery } = await apply(found, event, { token: { jti, expiresAt }, strict: true })
      if (outcome !== 'conflict') return { delivery, isDuplicate: false }
      if (found.version === refusedOn) {
        throw refuse(id, claims, 'another delivery has this run or has used its token')
      }
      refusedOn = found.version
    }
  }

  /** Where GitHub shows the run; where it does not, the claims alone decide. */
  async function checkTitleAndTime(delivery: Delivery, claims: RunClaims): Promise<void> {
    const run = await within(READ_MS, originOf(delivery.repository, claims.runId))
    if (!run) return
    const rivals = isNamed(run.title, delivery) ? [] : await findNamed(delivery.repository, [run.title])
    const facts = { clockOffset: github.clockOffset() ?? 0, startTimeout }
    const namesAnother = rivals.length > 0 && isOfAnother(run, rivals, facts)
    const reason = checkRun(run, delivery, namesAnother, facts)
    if (reason !== null) throw refuse(delivery.id, claims, reason)
  }

  /** The sender gets the same answer for each reason. */
  function refuse(id: string | null, claims: RunClaims, reason: string): Problem {
    log.warn(
      { delivery: id, repository: claims.repository, github_run_id: claims.runId, reason },
      'a report was refused: this run may not report for the delivery',
    )
    return new Problem(
      403,
      "This workflow run may not report for this delivery: only the run that its dispatch started may report, in the repository and on the branch that the relay dispatched to. The relay's log shows what does not match.",
    )
  }

  function answerDuplicate(c: Context, delivery: Delivery, { runId }: RunClaims): Response {
    const first = boundRun(delivery)?.id ?? null
    log.warn(
      { delivery: delivery.id, run: delivery.runId, github_run_id: runId, first },
      'a report was refused: the delivery has another workflow run',
    )
    const detail = `The delivery already runs in another workflow run, ${first}; this one is ${runId}.`
    const body = { type: 'about:blank', title: 'Conflict', status: 409, detail, duplicate: true }
    return c.json({ ...body, github_run_id: first }, 409, { 'content-type': 'application/problem+json' })
  }

  /** The state of Port's run: as Port answers, if in time; ended, where its end waits in the outbox. */
  async function readRun(delivery: Delivery) {
    const reading = port.read(delivery).then(run => (run === 'unread' ? null : run))
    const read: RunState | null = await within(READ_MS, reading)
    // A run from before the redelivery does not make this one a duplicate.
    const isPast = delivery.runs.some(run => run.past && String(run.id) === read?.externalRunId)
    return {
      status: read?.status ?? 'unknown',
      ended: read?.ended === true || !OPEN_STATES.includes(delivery.state),
      synchronized: read?.synchronized ?? false,
      external_run_id: isPast ? null : (read?.externalRunId ?? null),
    }
  }
}

/** Null where it takes longer. */
const within = <T>(ms: number, reading: Promise<T>): Promise<T | null> =>
  Promise.race([reading.catch(() => null), sleep(ms, null, { ref: false })])
