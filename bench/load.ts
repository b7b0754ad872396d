import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import autocannon from 'autocannon'
import { signedRequests } from './signed-requests.ts'

export interface Figures {
  perSecond: number
  p50: number
  p99: number
  accepted: number
}

const CONNECTIONS = 64

/** Starts a server that prints a JSON line with its `port`. */
export async function startServer(
  file: string,
  env: Record<string, string> = {},
): Promise<{ url: string; child: ChildProcess; startedAfterMs: number }> {
  const begun = performance.now()
  const child = spawn(process.execPath, [file], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    const { port } = JSON.parse(line) as { port?: number }
    if (!port) continue
    child.stdout?.resume()
    return { url: `http://127.0.0.1:${port}`, child, startedAfterMs: performance.now() - begun }
  }
  throw new Error(`${file} ended before it listened`)
}

export async function stopServer({ child }: { child: ChildProcess }): Promise<void> {
  child.kill('SIGTERM')
  if (child.exitCode === null) await once(child, 'exit')
}

/** Sends `count` deliveries, each once, over 64 connections. */
export async function load(url: string, count: number): Promise<Figures> {
  const perConnection = Math.ceil(count / CONNECTIONS)
  const result = await autocannon({
    url: `${url}/webhook`,
    connections: CONNECTIONS,
    amount: perConnection * CONNECTIONS,
    setupClient: client => {
      client.setRequests(signedRequests(perConnection).map(request => ({ method: 'POST', ...request })))
    },
  })
  return {
    perSecond: (perConnection * CONNECTIONS) / result.duration,
    p50: result.latency.p50,
    p99: result.latency.p99,
    accepted: result['2xx'],
  }
}
