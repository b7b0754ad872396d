import type { Context } from 'hono'
import type { PortClient } from '../../port/client/port-client.ts'
import type { Invocation, RunState } from '../../port/types.ts'
import { BOUNDS } from '../config/bounds.ts'
import type { RepositoryFacts } from '../github/read-repository.ts'
import { bearer } from '../http/bearer.ts'
import type { BodyRoom } from '../http/body-memory.ts'
import { Problem } from '../http/problem.ts'
import type { Delivery } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'
import { checkEvent, checkRepository } from './check-claims.ts'
import { handOut } from './hand-out.ts'
import { readMessage, startMessage } from './read-message.ts'
import type { ReportTokens } from './report-token.ts'
import type { RunClaims } from './verify-oidc.ts'

export interface StartParts {
  /** Whether RELAY_ALLOWED_REPOSITORIES names the repository. */
  isAllowed: (repository: string) => boolean
  store: Pick<Store, 'get' | 'bindRun'>
  /** Null without PORT_CLIENT_ID. */
  port: Pick<PortClient, 'run'> | null
  verify: (token: string | null) => Promise<RunClaims>
  know: (repository: string, claims: RunClaims) => Promise<RepositoryFacts>
  tokens: Pick<ReportTokens, 'mint'>
  /** Each that Port may have encrypted secret inputs with. */
  clientSecrets: string[]
  clock: () => number
  log: { info: (fields: object, message: string) => void; warn: (fields: object, message: string) => void }
}

/** A job waits for this answer. */
const READ_MS = 3_000

/**
 * `POST /report/start`: a workflow run proves by GitHub's OIDC token that it is the one which a delivery
 * started. The first to do so is bound to it, and gets a report token for all that it will say, how Port's
 * run stands, what did not fit its payload, and its secret inputs in clear. A second gets 409 and nothing else.
 *
 * @throws Problem 400, 401, 403, 413, 503
 */
export function createStart(parts: StartParts): (c: Context, room: BodyRoom) => Promise<Response> {
  const { isAllowed, store, port, verify, know, tokens, clock, log } = parts

  return async (c, room) => {
    const claims = await verify(bearer(c))
    // Before the body is read: whoever has a repository on GitHub has tokens of its runs.
    if (!isAllowed(claims.repository)) throw refuse(null, claims, 'its repository is not allowed')
    const { delivery: id, complete } = await readMessage(c, startMessage, BOUNDS.reportStartBody.value, room)
    const found = await store.get(id)
    if (!found) throw refuse(id, claims, 'there is no such delivery')
    const reason = checkEvent(claims) ?? checkRepository(claims, await know(found.repository, claims))
    if (reason !== null) throw refuse(id, claims, reason)

    const bound = await store.bindRun(id, claims.runId, claims.runAttempt, clock())
    const delivery = await store.get(id)
    if (!delivery || bound === 'unknown') throw refuse(id, claims, 'the delivery was deleted meanwhile')
    if (bound === 'other' && delivery.githubRunId === null) {
      throw refuse(
        id,
        claims,
        'it is the run of another delivery, or was of this one before it was redelivered',
      )
    }
    if (bound === 'other') return answerDuplicate(c, delivery, claims)
    if ((delivery.githubRunAttempt ?? 0) > claims.runAttempt) {
      throw refuse(id, claims, `a later attempt of the run, ${delivery.githubRunAttempt}, has started`)
    }
    const [{ token, expiresAt }, run] = await Promise.all([
      tokens.mint({ delivery: id, runId: claims.runId, runAttempt: claims.runAttempt }),
      readRun(delivery),
    ])
    log.info(
      { delivery: id, run: delivery.runId, github_run: claims.runId, attempt: claims.runAttempt },
      'run started',
    )
    const invocation = JSON.parse(delivery.invocation) as Invocation
    return c.json({
      token,
      expires_at: new Date(expiresAt).toISOString(),
      tells: port !== null && delivery.kind !== 'none',
      run,
      ...handOut(invocation, complete, parts.clientSecrets),
    })
  }

  /** To the sender each refusal is the same. */
  function refuse(id: string | null, claims: RunClaims, reason: string): Problem {
    log.warn(
      { delivery: id, repository: claims.repository, github_run: claims.runId, reason },
      'a report was refused: this run may not speak for the delivery',
    )
    return new Problem(
      403,
      "This workflow run may not report for this delivery: only the run may that its repository_dispatch event has started, in the repository that the relay sent it to, on the default branch. The relay's log says what does not fit.",
    )
  }

  function answerDuplicate(c: Context, delivery: Delivery, { runId }: RunClaims): Response {
    log.warn(
      { delivery: delivery.id, run: delivery.runId, github_run: runId, first: delivery.githubRunId },
      'a second workflow run asked to report for a delivery',
    )
    const detail = `The delivery already runs in another workflow run, ${delivery.githubRunId}; this one is ${runId}.`
    const body = { type: 'about:blank', title: 'Conflict', status: 409, detail, duplicate: true }
    return c.json({ ...body, github_run_id: delivery.githubRunId }, 409, {
      'content-type': 'application/problem+json',
    })
  }

  /** How Port's run stands: as Port says, where it answers in time; ended, where its end waits here to be told. */
  async function readRun({ runId, kind, state, pastRuns }: Delivery) {
    if (runId === null || kind === 'none' || !port) return null
    const read = await within(READ_MS, port.run(runId).read())
    return {
      status: read?.status ?? 'unknown',
      ended: read?.ended === true || state === 'finished' || state === 'failed',
      synchronized: read?.synchronized ?? false,
      // A run of before the redelivery does not make this one a duplicate.
      external_run_id: pastRuns.some(run => String(run) === read?.externalRunId)
        ? null
        : (read?.externalRunId ?? null),
    }
  }
}

/** Null where Port does not say: the reports wait until it does, and it refuses them itself where the run has ended. */
async function within(ms: number, reading: Promise<RunState>): Promise<RunState | null> {
  const late = Promise.withResolvers<null>()
  const timer = setTimeout(late.resolve, ms, null)
  const read = await Promise.race([reading.catch(() => null), late.promise])
  clearTimeout(timer)
  return read
}
