import { type Context, Hono } from 'hono'
import type { Config } from '../config/config.ts'
import { LIMITS } from '../config/limits.ts'
import { matcher } from '../config/routes.ts'
import { OPEN_STATES } from '../delivery/delivery.ts'
import type { GitHub } from '../github/client.ts'
import { type BodyReservation, createBodyMemory } from '../http/body-memory.ts'
import { Problem } from '../http/problem.ts'
import { bearer, createTokenBuckets, refuseOverRate, type TokenBuckets } from '../http/request.ts'
import type { ThrottledLog } from '../log.ts'
import type { ApplyEvent } from '../workers/apply.ts'
import type { PortAccess } from '../workers/outbox.ts'
import type { BoundDeps } from './authorize.ts'
import { boundDelivery, createReportTokens, createRunOrigins, refuseFinished } from './authorize.ts'
import { createOidcVerifier } from './oidc.ts'
import { createTake, parseMessage, readBytes, startMessage, type TakeDeps } from './report.ts'
import { createRepositoryFacts } from './repository-facts.ts'
import { createHandOut, createStart, type HandOutDeps, type StartDeps } from './start.ts'

export interface ReportsDeps {
  config: Pick<
    Config,
    | 'publicUrl'
    | 'github'
    | 'port'
    | 'targets'
    | 'trustedProxies'
    | 'reportBlueprints'
    | 'reportDeleteBlueprints'
    | 'startTimeout'
  >
  store: StartDeps['store'] & TakeDeps['store'] & HandOutDeps['store']
  github: StartDeps['github'] & Pick<GitHub, 'repository' | 'run'>
  apply: ApplyEvent
  port: PortAccess
  findByTitle: StartDeps['findByTitle']
  /** Milliseconds since 1970 by the wall clock, which token expiry uses. */
  clock: () => number
  log: {
    info: (fields: object, message: string) => void
    warn: (fields: object, message: string) => void
  }
  throttled: ThrottledLog
}

/** `/report/…`: the action's reports through the relay. Without RELAY_PUBLIC_URL, responds with 404 and the reason. */
export function createReports(deps: ReportsDeps): Hono {
  const { config, store, github, apply, port, findByTitle: findNamed, clock, log, throttled } = deps
  const app = new Hono()
  const audience = config.publicUrl
  if (audience === null) {
    app.all('*', () => {
      throw new Problem(
        404,
        "This relay does not accept reports: set RELAY_PUBLIC_URL in its environment, or port-client-id and port-client-secret in the action's inputs.",
      )
    })
    return app
  }
  const { auth } = config.github
  const secret = 'token' in auth ? auth.token : auth.privateKey
  const tokens = createReportTokens({
    secret,
    audience,
    lifetimeMs: LIMITS.reportToken,
    clock,
    log: throttled,
  })
  const verify = createOidcVerifier({
    issuer: config.github.oidcIssuer,
    ...{ audience, clock, throttled },
  })
  const factsOf = createRepositoryFacts({ ask: github.repository, clock, log, throttled })
  const isAllowed = matcher(config.targets.allowed)
  const shareInputs = createHandOut({ store, secrets: config.port.secrets })
  const start = createStart({
    ...{ isAllowed, store, github, apply, port },
    ...{ findByTitle: findNamed, verify, factsOf, tokens, shareInputs, log, throttled },
    originOf: createRunOrigins(github),
    startTimeout: config.startTimeout,
    rate: createTokenBuckets(LIMITS.reportStartRate),
  })
  const give = createInputsRoute({
    ...{ store, tokens, shareInputs, log },
    rate: createTokenBuckets(LIMITS.reportInputsRate),
  })
  const take = createTake({
    ...{ store, tokens, apply, log },
    isAllowed: { upsert: matcher(config.reportBlueprints), delete: matcher(config.reportDeleteBlueprints) },
    rate: createTokenBuckets(LIMITS.reportRate),
  })
  const withReservation = createBodyMemory({
    arrivingBytes: LIMITS.reportArriving,
    processingBytes: LIMITS.reportProcessing,
    trustedProxies: config.trustedProxies,
  })

  app.use('*', async (c, next) => {
    await next()
    c.header('cache-control', 'no-store')
  })
  app.post('/start', c => withReservation(c, room => start(c, room)).catch(orStoreFailure))
  app.post('/inputs', c => withReservation(c, room => give(c, room)).catch(orStoreFailure))
  app.post('/', c => withReservation(c, room => take(c, room)).catch(orStoreFailure))
  app.all('*', (c: Context) => {
    if (c.req.path.match(/^\/report(\/start|\/inputs)?$/))
      throw new Problem(405, 'Send reports with POST.', { allow: 'POST' })
    throw new Problem(
      404,
      `There is nothing at ${c.req.path}: reports go to /report/start, /report/inputs and /report.`,
    )
  })
  return app

  function orStoreFailure(error: unknown): never {
    if (error instanceof Problem) throw error
    throttled.error({ err: error }, 'a report was not accepted: database unavailable')
    throw new Problem(
      503,
      "The relay's database (RELAY_DATABASE) is unavailable; this report was not accepted. Send it again.",
      { 'retry-after': '5' },
    )
  }
}

/**
 * `POST /report/inputs`: returns the inputs from `POST /report/start` to a later process of the same run, so that the
 * process can redact the inputs.
 *
 * @throws Problem 400, 401, 403, 410, 413, 429, 503
 */
function createInputsRoute(
  deps: BoundDeps & {
    shareInputs: ReturnType<typeof createHandOut>
    /** Limits the calls per minute of each workflow run. */
    rate: TokenBuckets
  },
): (c: Context, room: BodyReservation) => Promise<Response> {
  return async (c, room) => {
    const bound = await deps.tokens.verify(bearer(c))
    const waitMs = deps.rate.take(`${bound.runId} ${bound.runAttempt}`)
    if (waitMs > 0) {
      const sentence = `A workflow run can request its inputs at most ${LIMITS.reportInputsRate} times per minute. Retry after the time in the Retry-After header.`
      throw refuseOverRate(sentence, waitMs)
    }
    const message = parseMessage(await readBytes(c, LIMITS.reportStartBody, room), startMessage)
    const delivery = await boundDelivery(message, bound, deps)
    if (!OPEN_STATES.includes(delivery.state)) throw refuseFinished()
    return c.json(await deps.shareInputs(delivery, message.complete))
  }
}
