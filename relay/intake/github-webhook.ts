import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Context } from 'hono'
import { LIMITS } from '../config/limits.ts'
import { type Delivery, OPEN_STATES } from '../delivery/delivery.ts'
import { isCurrent, isOfTarget, refresh, toDeliveryRun } from '../delivery/match.ts'
import type { WorkflowRun } from '../github/runs.ts'
import { bodyOf, readBody, readJson } from '../http/body.ts'
import { type BodyReservation, createBodyMemory } from '../http/body-memory.ts'
import { Problem } from '../http/problem.ts'
import type { RouteDeps } from '../route-deps.ts'
import type { FindOwners } from '../workers/find-runs.ts'
import { readWebhookEvent, type WebhookEvent } from './github-event.ts'

interface GitHubWebhookDeps extends Pick<RouteDeps, 'store' | 'apply'> {
  /** GITHUB_WEBHOOK_SECRET; null disables the route. */
  secret: string | null
  traced?: boolean
  trustedProxies: number
  findOwners: FindOwners
  /** GitHub's time minus the relay's time, in milliseconds. */
  clockOffset: () => number | null
  startTimeout: number
}

/**
 * Accepts GitHub's webhooks. Persists their data, because GitHub sends each webhook only once.
 * @see https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
 * @throws Problem for every refusal
 */
export function createGitHubWebhook(deps: GitHubWebhookDeps): (c: Context) => Promise<Response> {
  const { secret, trustedProxies, store, apply, findOwners, clockOffset } = deps
  const reserve = createBodyMemory({
    arrivingBytes: LIMITS.githubArriving,
    processingBytes: LIMITS.githubProcessing,
    trustedProxies,
  })

  return async c => {
    if (secret === null)
      throw new Problem(
        404,
        "This relay doesn't accept GitHub's webhooks: set GITHUB_WEBHOOK_SECRET to the secret of the GitHub App's webhook.",
      )
    const reservation = reserve(c)
    return receive(c, secret, reservation).finally(() => reservation.release())
  }

  async function receive(c: Context, secret: string, reservation: BodyReservation): Promise<Response> {
    const signature = c.req.header('x-hub-signature-256') ?? ''
    if (!SIGNATURE.test(signature)) throw unsigned()
    const body = await readBody(c, bodyOf(c), LIMITS.githubBody, reservation, "GitHub's webhooks can be")
    const expected = createHmac('sha256', secret).update(body).digest()
    if (!timingSafeEqual(Buffer.from(signature.slice(PREFIX.length), 'hex'), expected)) throw unsigned()
    reservation.accept(body.length)
    const event = c.req.header('x-github-event') ?? 'unknown'
    const received = KNOWN.includes(event) ? readWebhookEvent(event, readJson(body, JSON_ADVICE)) : null
    if (!received || (received.kind === 'workflow_run' && !EVENTS.includes(received.run.event)))
      return c.json({ ignored: event }, 202)
    return c.json({ scheduled: await take(received) }, 202)
  }

  /** Persists a webhook's data. @returns the number of affected deliveries */
  function take(received: WebhookEvent): Promise<number> {
    if (received.kind === 'workflow_run') return takeRun(received)
    return received.kind === 'workflow_job' ? takeJob(received) : takeReview(received)
  }

  async function takeRun({ repository, run }: Received<'workflow_run'>): Promise<number> {
    const [recorded] = await store.findRuns(repository, [run.id])
    const owner = recorded && !recorded.past ? await store.get(recorded.delivery) : null
    if (recorded && !owner) return 0
    const delivery = owner ?? (await findStarted(repository, run))
    if (delivery) {
      const known = delivery.runs.some(each => each.id === run.id)
      const runs = known
        ? delivery.runs.map(each => (each.id === run.id ? refresh(each, run) : each))
        : [...delivery.runs, toDeliveryRun(run, 'title')]
      const event = { type: 'runsSeen' as const, runs, pollAt: store.clock(), webhook: true as const }
      return (await apply(delivery, event)).outcome === 'applied' ? 1 : 0
    }
    // If the title contains no delivery's ID, the run could belong to any unbound delivery, so all unbound deliveries are polled.
    const unbound = await store.findUnbound(repository)
    await Promise.all(unbound.map(({ id }) => store.wake(id, store.clock())))
    return unbound.length
  }

  /** If a job starts or stops waiting, makes the delivery due for a poll. If a job has finished, adds the job to the trace. */
  async function takeJob({ repository, runId, status, finished }: Received<'workflow_job'>): Promise<number> {
    const delivery = await findOwner(repository, runId)
    if (delivery && deps.traced && finished) {
      const offset = clockOffset() ?? 0
      const { startedAt, finishedAt } = finished
      const job = { ...finished, startedAt: startedAt - offset, finishedAt: finishedAt - offset }
      await apply(delivery, { type: 'jobFinished', runId, job })
    }
    if (!delivery || (status !== 'waiting' && delivery.waitingFor === null)) return 0
    const isWaiting = (id: number) => id === runId && status === 'waiting'
    const runs = delivery.runs.map(run => (isWaiting(run.id) ? { ...run, status } : run))
    const { outcome } = await apply(delivery, { type: 'runsSeen', runs, pollAt: store.clock() })
    return outcome === 'applied' ? 1 : 0
  }

  async function takeReview(review: Received<'deployment_review'>): Promise<number> {
    const { repository, runId, action, environments, reviewers, approver: by, comment } = review
    const delivery = await findOwner(repository, runId)
    if (!delivery) return 0
    const before = (delivery.waitingFor?.split(', ') ?? []).filter(name => !environments.includes(name))
    const isRequested = action === 'requested'
    const { outcome } = await apply(delivery, {
      type: 'approvalSeen',
      pending: [
        ...before.map(environment => ({ environment, waitTimer: 0, reviewers: [] })),
        ...(isRequested ? environments.map(environment => ({ environment, waitTimer: 0, reviewers })) : []),
      ],
      decided: isRequested ? [] : [{ environments, state: action, by, comment }],
    })
    return outcome === 'applied' ? 1 : 0
  }

  async function findOwner(repository: string, runId: number): Promise<Delivery | null> {
    const [recorded] = await store.findRuns(repository, [runId])
    return recorded && !recorded.past ? store.get(recorded.delivery) : null
  }

  async function findStarted(repository: string, run: WorkflowRun): Promise<Delivery | null> {
    const owner = (await findOwners(repository, [run])).get(run.id) ?? null
    const isStarted =
      owner !== null &&
      OPEN_STATES.includes(owner.state) &&
      isOfTarget(run, owner) &&
      owner.attemptedAt !== null &&
      isCurrent(run, owner, { clockOffset: clockOffset() ?? 0, startTimeout: deps.startTimeout })
    return isStarted ? owner : null
  }
}

const KNOWN: string[] = ['workflow_run', 'workflow_job', 'deployment_review', 'ping']

const JSON_ADVICE = {
  notJson: 'set the content type of the webhook in GitHub to application/json',
  tooDeep: "GitHub doesn't send such webhooks",
}

type Received<K extends WebhookEvent['kind']> = Extract<WebhookEvent, { kind: K }>

const EVENTS = ['repository_dispatch', 'workflow_dispatch']
const PREFIX = 'sha256='
const SIGNATURE = /^sha256=[0-9a-f]{64}$/

const unsigned = () =>
  new Problem(
    401,
    "The signature (X-Hub-Signature-256) doesn't match: GITHUB_WEBHOOK_SECRET must be the webhook's secret in GitHub, and no proxy may change the body.",
    { connection: 'close' },
  )
