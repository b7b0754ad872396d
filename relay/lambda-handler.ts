import { setTimeout as sleep } from 'node:timers/promises'
import { type APIGatewayProxyResult, handle, type LambdaContext, type LambdaEvent } from 'hono/aws-lambda'
import type { Logger } from 'pino'
import type { Config } from './config/config.ts'
import { PROBLEM_TYPE, Problem, problemDetails } from './http/problem.ts'
import { type AssembledRelay, assembleRelay } from './relay.ts'
import type { Worker } from './workers/worker.ts'

export type Event = LambdaEvent | { source?: string }
export type Context = Pick<LambdaContext, 'getRemainingTimeInMillis'>

/** How long an invocation processes due work after it has accepted a request. During this time, the sender waits. */
const REQUEST_WORK_MS = 5_000
/** How long an invocation without work waits for new work, such as the next report of a workflow run. */
const QUIET_MS = 1_500
/** How long an invocation waits for steps in progress: REQUEST_STEP_MS after a request, SCHEDULE_STEP_MS if it was scheduled. A request to GitHub or Port takes at most 10 s. */
const REQUEST_STEP_MS = 3_000
const SCHEDULE_STEP_MS = 12_000
/** How many dispatches RELAY_DISPATCH_RATE allows at the start. The number is small, because AWS can start many relays at once. */
const FIRST_DISPATCHES = 2
const RESPONSE_MS = 1_000
const KEEP_MS = 10_000
/** If the wall clock has advanced by this much more than the monotonic clock, AWS has frozen the process. */
const FROZEN_MS = 500

/**
 * Creates an AWS Lambda function that runs the relay with PostgreSQL. An invocation persists its request and then
 * processes due work while time remains. Scheduled invocations process work that becomes due between requests. If an
 * invocation is killed, a later invocation continues its work when the lease expires.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
 */
export function createHandler(
  config: Config,
  log: Logger,
): (event: Event, context: Context) => Promise<APIGatewayProxyResult | undefined> {
  if (config.database.kind !== 'postgres')
    throw new Error(
      "RELAY_DATABASE must be postgres://… on AWS Lambda: files are lost with the function's environment.",
    )
  if (config.alert)
    throw new Error("RELAY_ALERT_URL doesn't work on AWS Lambda: remove it, and use the template's alarm.")
  let kept: { relay: AssembledRelay; at: number; wallAt: number } | null = null

  async function open(): Promise<AssembledRelay> {
    const last = kept
    kept = null
    if (last) {
      const [awake, passed] = [performance.now() - last.at, Date.now() - last.wallAt]
      if (passed < KEEP_MS && Math.abs(passed - awake) < FROZEN_MS) return last.relay
      last.relay.close().catch(() => {})
    }
    const unchecked = { ...config, checkPublicUrl: false }
    return assembleRelay(unchecked, log, new AbortController().signal, undefined, FIRST_DISPATCHES)
  }

  async function invoke(event: Event, context: Context): Promise<APIGatewayProxyResult | undefined> {
    const endsAt = performance.now() + context.getRemainingTimeInMillis()
    const relay = await open()
    const request = isRequest(event) ? event : null
    const workers = request && methodOf(request) === 'GET' ? [] : relay.startWorkers()
    const stepMs = request ? REQUEST_STEP_MS : SCHEDULE_STEP_MS
    let response: APIGatewayProxyResult | undefined
    try {
      if (request) response = await handle(relay.app)(withoutStage(request), context as LambdaContext)
      else for (const worker of workers) worker.runNow()
      const workMs = request ? REQUEST_WORK_MS : Number.POSITIVE_INFINITY
      // An invocation with a request doesn't wait for new work, because a sender waits for the response. GitHub's
      // webhooks are an exception, because they need no fast response.
      const quietMs = request && !pathOf(request).endsWith('/github') ? 0 : QUIET_MS
      const until = Math.min(performance.now() + workMs, endsAt - RESPONSE_MS - stepMs)
      // A refused request starts no work, because anyone can send one.
      if (!response || response.statusCode < 400) await untilIdle(workers, quietMs, until)
    } finally {
      const allStopped = Promise.all(workers.map(worker => worker.stop()))
      const patienceMs = Math.min(stepMs, endsAt - RESPONSE_MS - performance.now())
      if (await isInTime(allStopped, patienceMs)) {
        await relay.flush().catch(() => {})
        kept = { relay, at: performance.now(), wallAt: Date.now() }
      } else {
        // AWS freezes the steps in progress. A later invocation finishes a step if the step's lease hasn't expired.
        void allStopped.then(() => relay.close()).catch(() => {})
      }
    }
    return response
  }

  return async (event, context) => {
    try {
      return await invoke(event, context)
    } catch (error) {
      log.error({ err: error }, 'an invocation failed')
      if (!isRequest(event)) throw error
      const problem = new Problem(503, 'The database (RELAY_DATABASE) is unavailable. Retry shortly.')
      const headers = { ...PROBLEM_TYPE, 'retry-after': '5' }
      const body = JSON.stringify(problemDetails(problem))
      return { statusCode: problem.status, headers, body, isBase64Encoded: false }
    }
  }
}

const isRequest = (event: Event): event is LambdaEvent => 'requestContext' in event

function methodOf(event: LambdaEvent): string {
  const { requestContext } = event
  if ('httpMethod' in event) return event.httpMethod
  return 'http' in requestContext ? requestContext.http.method : ''
}

const pathOf = (event: LambdaEvent): string => ('rawPath' in event ? event.rawPath : event.path)

/** Removes the stage name from the path. An HTTP API puts the stage name before the path, unless the stage is `$default`. */
function withoutStage(event: LambdaEvent): LambdaEvent {
  if (!('rawPath' in event)) return event
  const prefix = `/${event.requestContext.stage}/`
  return event.rawPath.startsWith(prefix)
    ? { ...event, rawPath: event.rawPath.slice(prefix.length - 1) }
    : event
}

const isInTime = (work: Promise<unknown>, patienceMs: number): Promise<boolean> =>
  Promise.race([work.then(() => true), sleep(Math.max(0, patienceMs), false, { ref: false })])

const LOOK_MS = 20

/** Waits until the workers have been idle for `quietMs`. @param until the deadline, by `performance.now()` */
async function untilIdle(workers: Worker[], quietMs: number, until: number): Promise<void> {
  // Empty claims from before this time are ignored, because they may have missed new work.
  const since = performance.now()
  while (performance.now() < until) {
    for (const worker of workers) worker.wake()
    await sleep(LOOK_MS)
    const activities = workers.map(worker => worker.activity())
    const busyAt = Math.max(since, ...activities.map(each => each.busyAt))
    if (activities.every(each => each.idleAt > busyAt + quietMs)) return
  }
}
