import { randomBytes } from 'node:crypto'
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { SECRET, sign } from '../support/requests.ts'

const CONNECTIONS = 64
/** The delay before a refused or failed webhook is sent again. */
const AGAIN_MS = 250

/** How a delivery starts a workflow: by `repository_dispatch`, or a specific file by `workflow_dispatch`. */
export type Target = 'event' | 'workflow'

/** The workflow file that a `workflow_dispatch` starts. */
export const WORKFLOW = 'deploy.yml'

export type Load = ReturnType<typeof startLoad>

/** What the loads of a system have sent. */
export interface Sent {
  /** Run id → when the webhook got 202 or 200 (`performance.now()`, ms). */
  acknowledged: Map<string, number>
  /** Run id → when the webhook was first sent. */
  started: Map<string, number>
  /** Responses by status; 0 counts failed connections. */
  responses: Map<number, number>
}

export interface LoadOptions {
  /** The number of deliveries. */
  count: number
  /** The relays' URLs, used in turn. */
  urls: string[]
  repositories: string[]
  target: Target
  /** The maximum rate. Default: as fast as the relay responds. */
  perSecond?: number
  /** Called before each webhook. */
  onRun?: (runId: string) => void
}

/** Sends webhooks over 64 connections. Repeats each webhook until it is acknowledged. */
export function startLoad(options: LoadOptions, { acknowledged, started, responses }: Sent) {
  const { count, urls, repositories, target, perSecond, onRun } = options
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const startedAt = performance.now()
  let next = 0
  let stopped = false

  async function sender(): Promise<void> {
    while (!stopped && next < count) {
      const index = next++
      const wait = perSecond ? startedAt + (index * 1000) / perSecond - performance.now() : 0
      if (wait > 0) await sleep(wait)
      const runId = `r_${randomBytes(12).toString('base64url').replaceAll(/[-_]/g, 'x')}`
      onRun?.(runId)
      const repository = repositories[started.size % repositories.length]!
      started.set(runId, performance.now())
      for (let tries = index; !stopped; tries++) {
        const text = body(runId, repository, target)
        const status = await post(urls[tries % urls.length]!, text, agent)
        responses.set(status, (responses.get(status) ?? 0) + 1)
        if (status === 202 || status === 200) {
          acknowledged.set(runId, performance.now())
          break
        }
        await sleep(AGAIN_MS)
      }
    }
  }
  /** Resolves once all webhooks are acknowledged. */
  const done = Promise.all(Array.from({ length: CONNECTIONS }, sender)).then(() => agent.destroy())
  return {
    done,
    /** Stops sending. Resolves when no response is pending. */
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

/** Sends one signed webhook. @returns the status, or 0 if the connection failed */
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
