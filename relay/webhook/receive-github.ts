import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Context } from 'hono'
import { BOUNDS } from '../config/bounds.ts'
import { readTitle } from '../deliveries/match-run.ts'
import { titleWords } from '../deliveries/title-words.ts'
import type { RunLister } from '../github/run-lister.ts'
import { readWorkflowRunEvent } from '../github/workflow-run-event.ts'
import { type BodyRoom, createBodyMemory } from '../http/body-memory.ts'
import { Problem } from '../http/problem.ts'
import { readBody } from '../http/read-body.ts'
import type { Delivery } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'

export interface GitHubWebhookParts {
  /** GITHUB_WEBHOOK_SECRET; null closes the route. */
  secret: string | null
  /** As in the configuration. */
  trustedProxies: number
  store: Pick<Store, 'findByGithubRun' | 'findNamed' | 'unmatched' | 'wakeDelivery'>
  lister: Pick<RunLister, 'observe'>
  clock: () => number
  log: { error: (fields: object, message: string) => void }
}

/**
 * Takes GitHub's webhooks, in this order: headers → size → signature over the bytes → JSON → the deliveries it
 * is about → a durable wake-up of each → answer. GitHub waits 10 s and sends none again; the look at GitHub
 * comes after the answer.
 *
 * @see https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
 * @throws Problem for every refusal
 */
export function createGitHubWebhook(parts: GitHubWebhookParts): (c: Context) => Promise<Response> {
  const { secret, trustedProxies, store, lister, clock, log } = parts
  const withRoom = createBodyMemory({
    arrivingBytes: BOUNDS.githubArriving.value,
    processingBytes: BOUNDS.githubProcessing.value,
    trustedProxies,
  })

  return async c => {
    if (secret !== null) return withRoom(c, room => receive(c, secret, room))
    throw new Problem(
      404,
      "GitHub's webhooks are not taken here: set GITHUB_WEBHOOK_SECRET to the secret of the GitHub App's webhook.",
    )
  }

  async function receive(c: Context, secret: string, room: BodyRoom): Promise<Response> {
    const signature = c.req.header('x-hub-signature-256') ?? ''
    if (!SIGNATURE.test(signature)) throw unsigned()
    const body = await readBytes(c, room)
    const expected = createHmac('sha256', secret).update(body).digest()
    if (!timingSafeEqual(Buffer.from(signature.slice(PREFIX.length), 'hex'), expected)) throw unsigned()
    room.accept()
    const event = c.req.header('x-github-event') ?? 'unknown'
    if (event !== 'workflow_run') return c.json({ ignored: event }, 202)
    const received = readWorkflowRunEvent(parse(body))
    if (received?.run.event !== 'repository_dispatch') return c.json({ ignored: event }, 202)
    try {
      const { repository, run } = received
      const woken = await findDeliveries(repository, run)
      if (woken.length > 0) lister.observe(repository, run)
      await Promise.all(woken.map(({ id }) => store.wakeDelivery(id, clock())))
      return c.json({ woken: woken.length }, 202)
    } catch (error) {
      log.error({ err: error }, 'a webhook of GitHub was not taken: the store does not answer')
      throw new Problem(503, "The relay's database (RELAY_DATABASE) does not answer.", {
        'retry-after': '10',
      })
    }
  }

  /** The delivery that the run is known to be of, else those that its title names, else all that it may be of. */
  async function findDeliveries(repository: string, run: { id: number; title: string }): Promise<Delivery[]> {
    const known = await store.findByGithubRun(repository, run.id)
    if (known) return known.state === 'dispatched' || known.state === 'running' ? [known] : []
    const candidates = await store.findNamed(repository, titleWords(run.title))
    const named = candidates.filter(delivery => readTitle(run.title, delivery) === 'named')
    if (named.length > 0) return named
    const unmatched = await store.unmatched(repository)
    return unmatched.filter(delivery => readTitle(run.title, delivery) === 'plain')
  }
}

const PREFIX = 'sha256='
const SIGNATURE = /^sha256=[0-9a-f]{64}$/

const unsigned = () =>
  new Problem(
    401,
    'The signature does not match: GITHUB_WEBHOOK_SECRET must be the secret of the webhook in GitHub (X-Hub-Signature-256), and nothing in between may change the body.',
    { connection: 'close' },
  )

async function readBytes(c: Context, room: BodyRoom): Promise<Uint8Array> {
  try {
    return await readBody(c, BOUNDS.githubBody.value, room)
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 413) throw error
    throw new Problem(
      413,
      `The body is larger than GitHub's webhooks ever are (${BOUNDS.githubBody.value} bytes).`,
      error.headers,
    )
  }
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    throw new Problem(
      400,
      'The body is not JSON in UTF-8: set the content type of the webhook in GitHub to application/json.',
    )
  }
}
