import { type Context, Hono } from 'hono'
import { createRoles, logCalls } from './admin/auth.ts'
import { problemPage, sendPage } from './admin/dashboard/guard.ts'
import { FAILED } from './admin/health.ts'
import type { Metrics } from './admin/metrics.ts'
import { signChallenge } from './admin/public-address.ts'
import type { Admin } from './admin/routes.ts'
import { bodyOf } from './http/body.ts'
import { type Receive, throwRefused } from './http/direct.ts'
import { Problem, sendProblem } from './http/problem.ts'
import { isUnsigned, logRefusals } from './http/refusals.ts'
import { bearer } from './http/request.ts'
import { createCancel } from './intake/cancel.ts'
import { createReceive } from './intake/receive.ts'
import { createVerify } from './intake/verify.ts'
import type { ThrottledLog } from './log.ts'
import type { RouteDeps } from './route-deps.ts'
import { DatabaseError } from './store/failures.ts'

interface AppDeps extends Pick<RouteDeps, 'config' | 'store' | 'apply' | 'clock' | 'checkDatabase'> {
  challengeKey: string
  stopping?: AbortSignal
  log: Pick<ThrottledLog, 'info' | 'error'>
  throttled: Pick<ThrottledLog, 'info' | 'error'>
  metrics?: Metrics
  readinessRoute: (c: Context) => Promise<Response>
  metricsRoute?: (c: Context) => Promise<Response>
  reports?: Hono
  admin?: Admin
  receiveGitHub?: (c: Context) => Promise<Response>
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']

const INTERNAL = 'Something failed inside the relay; its log shows the error. Nothing was accepted.'

/** Returns the response to an error that no route expects. */
function failure(error: Error, { ok, detail = FAILED }: Awaited<ReturnType<AppDeps['checkDatabase']>>) {
  if (ok && !(error instanceof DatabaseError)) return new Problem(500, INTERNAL)
  return new Problem(503, `${detail} Send the request again.`, { 'retry-after': '10' })
}

export function createApp(deps: AppDeps): { app: Hono; receive: Receive } {
  const { config, store, apply, reports, receiveGitHub, admin, log, throttled, metrics } = deps
  const { trustedProxies } = config
  const app = new Hono()
  const verify = createVerify(config, deps.clock)
  const receive = createReceive({ ...deps, verify, onAccepted: metrics?.accepted })
  app.use('/webhook/cancel', async (c, next) => {
    await next()
    if (c.res.ok) metrics?.webhook('cancellation')
  })
  app.post('/webhook/cancel', createCancel({ store, apply, verify }))
  // One handler serves all methods. With a handler for each method, Hono would compose its middleware again for each webhook.
  const webhook = async (c: Context) => {
    throwRefused(c)
    const { text, status, headers } = await receive(c, bodyOf(c))
    return c.body(text, status, headers)
  }
  app.all('/webhook', webhook).all('/webhook/:owner/:repo', webhook)
  if (receiveGitHub) app.post('/github', receiveGitHub)
  if (reports) {
    app.use('/report/*', async (c, next) => {
      await next()
      metrics?.report(c.res.status)
    })
    app.route('/report', reports)
  }
  const roles = createRoles(config)
  app.use(
    '/api/*',
    logCalls({ trustedProxies, log, throttled }, 'the admin API was called', c => roles.of(bearer(c))),
  )
  if (admin) app.route('/api', admin.api).route('/', admin.dashboard)
  app.get('/healthz', c => {
    const hmac = signChallenge(deps.challengeKey, c.req.query('challenge'))
    if (hmac !== null) c.header('cache-control', 'no-store')
    return c.json({ ok: true, ...(hmac !== null && { hmac }) })
  })
  app.get('/readyz', deps.readinessRoute)
  if (deps.metricsRoute) app.get('/metrics', deps.metricsRoute)
  const logRefusal = logRefusals({ trustedProxies, log, throttled }, (c, refusal) => {
    metrics?.webhook(isUnsigned(c) ? 'unsigned' : refusal.status)
    admin?.refusals.note(c, refusal)
  })
  const refuse = (c: Context, problem: Problem) => {
    logRefusal(c, problem)
    return /\btext\/html\b/.test(c.req.header('accept') ?? '')
      ? sendPage(c, problemPage(problem, null), {}, problem.status, problem.headers)
      : sendProblem(c, problem)
  }
  app.notFound(c => {
    const accepts = (method: string) =>
      app.router.match(method, c.req.path)[0].some(([[, route]]) => route.method === method)
    const allow = METHODS.filter(accepts).join(', ').replace('GET', 'GET, HEAD')
    const problem = allow
      ? new Problem(405, `Send this request with ${allow}. Port's webhooks go to /webhook.`, { allow })
      : new Problem(404, "There is nothing at this address: Port's webhooks go to /webhook.")
    return refuse(c, problem)
  })
  app.onError(async (error, c) => {
    const problem = error instanceof Problem ? error : failure(error, await deps.checkDatabase())
    if (problem !== error) throttled.error({ err: error }, 'a request failed')
    return refuse(c, problem)
  })
  return { app, receive }
}
