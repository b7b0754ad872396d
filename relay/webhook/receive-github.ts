import { Webhooks } from '@octokit/webhooks'
import type { Context } from 'hono'
import { readTitle } from '../deliveries/match-run.ts'
import { titleWords } from '../deliveries/title-words.ts'
import type { RunLister } from '../github/run-lister.ts'
import { readWebhookEvent } from '../github/webhook-event.ts'
import { createIntake } from '../http/body-memory.ts'
import { Problem } from '../http/problem.ts'
import { readBody } from '../http/read-body.ts'
import type { Delivery } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'

export interface GitHubWebhookParts {
  /** GITHUB_WEBHOOK_SECRET; null closes the route. */
  secret: string | null
  store: Pick<Store, 'findByGithubRun' | 'findNamed' | 'unmatched' | 'wakeDelivery'>
  lister: Pick<RunLister, 'observe'>
  clock: () => number
  log: { error: (fields: object, message: string) => void }
}

/** What GitHub sends at most. A body must be held whole before its signature can be checked, so all together are bounded. */
const MAX_BODY = 25 * 1024 * 1024
const MAX_HELD = 4 * MAX_BODY

/**
 * Takes GitHub's webhooks, in this order: size → headers → signature over the bytes → JSON → the deliveries it
 * is about → a durable wake-up of each → answer. GitHub waits 10 s and sends none again; the look at GitHub
 * comes after the answer.
 *
 * @see https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
 * @throws Problem for every refusal
 */
export function createGitHubWebhook(parts: GitHubWebhookParts): (c: Context) => Promise<Response> {
  const { secret, store, lister, clock, log } = parts
  const webhooks = secret === null ? null : new Webhooks({ secret })

  const intake = createIntake(MAX_HELD)

  return async c => {
    if (webhooks) return intake(reserve => receive(c, webhooks, reserve))
    throw new Problem(
      404,
      "GitHub's webhooks are not taken here: set GITHUB_WEBHOOK_SECRET to the secret of the GitHub App's webhook.",
    )
  }

  async function receive(
    c: Context,
    webhooks: Webhooks,
    reserve: (bytes: number) => void,
  ): Promise<Response> {
    const text = decode(await readBytes(c, reserve))
    const signature = c.req.header('x-hub-signature-256')
    if (!text || !signature || !(await webhooks.verify(text, signature))) {
      throw new Problem(
        401,
        'The signature does not match: GITHUB_WEBHOOK_SECRET must be the secret of the webhook in GitHub (X-Hub-Signature-256), and nothing in between may change the body.',
      )
    }
    const event = c.req.header('x-github-event') ?? 'unknown'
    if (event !== 'workflow_run') return c.json({ ignored: event }, 202)
    const received = readWebhookEvent(event, parse(text))
    if (received?.kind !== 'workflow_run' || received.run.event !== 'repository_dispatch') {
      return c.json({ ignored: event }, 202)
    }
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

async function readBytes(c: Context, reserve: (bytes: number) => void): Promise<Uint8Array> {
  try {
    return await readBody(c, MAX_BODY, reserve)
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 413) throw error
    throw new Problem(
      413,
      `The body is larger than GitHub's webhooks ever are (${MAX_BODY} bytes).`,
      error.headers,
    )
  }
}

/** The text of exactly these bytes; null where there is none, so that different bytes never become one text. */
function decode(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Problem(
      400,
      'The body is not JSON: set the content type of the webhook in GitHub to application/json.',
    )
  }
}
