import { type Context, Hono } from 'hono'
import { LIMITS } from '../config/limits.ts'
import { matcher } from '../config/routes.ts'
import { OPEN_STATES } from '../delivery/delivery.ts'
import { type BodyReservation, createBodyMemory } from '../http/body-memory.ts'
import { Problem } from '../http/problem.ts'
import { bearer, createTokenBuckets, limitRate } from '../http/request.ts'
import type { RouteDeps } from '../route-deps.ts'
import type { FindByTitle } from '../workers/find-runs.ts'
import { boundDelivery, createReportTokens, createRunOrigins, refuseFinished } from './authorize.ts'
import { createOidcVerifier } from './oidc.ts'
import { createTake, parseMessage, readBytes, startMessage } from './report.ts'
import { createRepositoryFacts } from './repository-facts.ts'
import { createShareInputs, createStart } from './start.ts'

/** `/report/…`: the action's reports through the relay. */
export function createReports(
  deps: Omit<RouteDeps, 'pauses' | 'freezes' | 'checkDatabase'> & { findByTitle: FindByTitle },
): Hono {
  const { config, store, github, apply, port, findByTitle, clock, log, throttled } = deps
  const app = new Hono()
  const audience = config.publicUrl
  if (audience === null) {
    app.all('*', () => {
      throw new Problem(
        404,
        "This relay doesn't accept reports: set RELAY_PUBLIC_URL in its environment, or port-client-id and port-client-secret in the action's inputs.",
      )
    })
    return app
  }
  const { auth, oidcIssuer: issuer } = config.github
  const secret = 'token' in auth ? auth.token : auth.privateKey
  const lifetimeMs = LIMITS.reportToken
  const tokens = createReportTokens({ secret, audience, lifetimeMs, clock, log: throttled })
  const verify = createOidcVerifier({ issuer, audience, clock, throttled })
  const factsOf = createRepositoryFacts({ ask: github.repository, clock, log, throttled })
  const isAllowed = matcher(config.targets.allowed)
  const shareInputs = createShareInputs(store, config.port.secrets)
  const start = createStart({
    ...{ isAllowed, store, github, apply, port },
    ...{ findByTitle, verify, factsOf, tokens, shareInputs, log, throttled },
    originOf: createRunOrigins(github),
    startTimeout: config.startTimeout,
    rate: createTokenBuckets(LIMITS.reportStartRate),
  })
  const inputsRate = createTokenBuckets(LIMITS.reportInputsRate)
  const take = createTake({
    ...{ store, tokens, apply, log },
    isAllowed: { upsert: matcher(config.reportBlueprints), delete: matcher(config.reportDeleteBlueprints) },
    rate: createTokenBuckets(LIMITS.reportRate),
  })
  const reserve = createBodyMemory({
    arrivingBytes: LIMITS.reportArriving,
    processingBytes: LIMITS.reportProcessing,
    trustedProxies: config.trustedProxies,
  })

  app.use('*', async (c, next) => {
    await next()
    c.header('cache-control', 'no-store')
  })
  for (const [path, handle] of Object.entries({ '/start': start, '/inputs': give, '/': take }))
    app.post(path, c => {
      const room = reserve(c)
      return handle(c, room).finally(() => room.release())
    })
  return app

  /** `POST /report/inputs`: returns the inputs of `/report/start` again, so that a later process of the same run can redact them. */
  async function give(c: Context, room: BodyReservation): Promise<Response> {
    const bound = await tokens.verify(bearer(c))
    const sentence = `A workflow run can request its inputs at most ${LIMITS.reportInputsRate} times per minute. Retry after the time in the Retry-After header.`
    limitRate(inputsRate, `${bound.runId} ${bound.runAttempt}`, sentence)
    const message = parseMessage(await readBytes(c, LIMITS.reportStartBody, room), startMessage)
    const delivery = await boundDelivery(message, bound, { store, log })
    if (!OPEN_STATES.includes(delivery.state)) throw refuseFinished()
    return c.json(await shareInputs(delivery, message.complete))
  }
}
