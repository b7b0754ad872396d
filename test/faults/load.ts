import { randomBytes } from 'node:crypto'
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { SECRET, sign } from '../support/sign.ts'

const CONNECTIONS = 64
/** Before the same delivery is sent again, to a relay that is away or refuses it. */
const AGAIN_MS = 25

/** What a delivery starts: a `repository_dispatch`, or a workflow by a `workflow_dispatch`. */
export type Target = 'event' | 'workflow'

/** The file of the workflow that deliveries start. */
export const WORKFLOW = 'deploy.yml'

export interface Load {
  /** Run ids that were answered 202 or 200, and when; milliseconds of `performance.now()`. */
  acknowledged: Map<string, number>
  /** When each run id was sent first. */
  started: Map<string, number>
  /** How many answers there were of each status; 0 counts the connections that failed. */
  responses: Map<number, number>
  /** Resolves once all are acknowledged. */
  done: Promise<void>
  /** Sends nothing more, and resolves when no answer is awaited. */
  stop(): Promise<void>
}

export interface LoadOptions {
  /** How many deliveries. */
  count: number
  /** The relays' addresses, taken in turn. */
  urls: string[]
  repositories: string[]
  target: Target
  /** At most so many a second are begun; as fast as they are answered where absent. */
  perSecond?: number
  /** Made before each is sent. */
  onRun?: (runId: string) => void
}

/**
 * Sends deliveries over 64 connections, each until it is acknowledged: what a relay refuses, or never
 * answers, is sent again as it was.
 */
export function startLoad({ count, urls, repositories, target, perSecond, onRun }: LoadOptions): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const acknowledged = new Map<string, number>()
  const started = new Map<string, number>()
  const responses = new Map<number, number>()
  const began = performance.now()
  let next = 0
  let stopped = false

  async function sender(): Promise<void> {
    while (!stopped && next < count) {
      const index = next++
      const wait = perSecond ? began + (index * 1000) / perSecond - performance.now() : 0
      if (wait > 0) await sleep(wait)
      const runId = `r_${randomBytes(12).toString('base64url').replaceAll(/[-_]/g, 'x')}`
      onRun?.(runId)
      started.set(runId, performance.now())
      for (let tries = index; !stopped; tries++) {
        const status = await post(
          urls[tries % urls.length] as string,
          body(runId, repositories[index % repositories.length] as string, target),
          agent,
        )
        responses.set(status, (responses.get(status) ?? 0) + 1)
        if (status === 202 || status === 200) {
          acknowledged.set(runId, performance.now())
          break
        }
        await sleep(AGAIN_MS)
      }
    }
  }
  const done = Promise.all(Array.from({ length: CONNECTIONS }, sender)).then(() => agent.destroy())
  return {
    acknowledged,
    started,
    responses,
    done,
    async stop() {
      stopped = true
      await done
    },
  }
}

const body = (runId: string, repository: string, target: Target) =>
  JSON.stringify({
    run: { id: runId },
    action: { identifier: 'deploy' },
    github: { repository, ...(target === 'workflow' && { workflow: WORKFLOW }) },
    inputs: { version: '1.4.2' },
  })

/** One signed webhook; the status, or 0 where the connection failed. */
function post(url: string, text: string, agent: Agent): Promise<number> {
  const timestamp = String(Math.floor(Date.now() / 1000))
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'x-port-timestamp': timestamp,
    'x-port-signature': sign(timestamp, text, SECRET),
  }
  return new Promise(resolve => {
    const sent = request(`${url}/webhook`, { method: 'POST', agent, headers, timeout: 20_000 }, response => {
      response.resume()
      response.on('end', () => resolve(response.statusCode ?? 0))
      response.on('error', () => resolve(0))
    })
    sent.on('timeout', () => sent.destroy())
    sent.on('error', () => resolve(0))
    sent.end(text)
  })
}
