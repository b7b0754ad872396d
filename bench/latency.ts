import { once } from 'node:events'
import { closeSync, fdatasyncSync, mkdtempDisposableSync, openSync, writeSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { signWebhooks, takeRequest } from './load/webhooks.ts'
import { startServer } from './processes.ts'
import { relayEnvironment } from './relay-environment.ts'
import { percentile } from './statistics.ts'

const WARM_UP = 20
const WEBHOOKS = 100
/** Long enough for the relay to become idle before the next webhook. */
const PAUSE_MS = 150

/** Times in ms from sending a webhook until its dispatch arrives at GitHub, and until its response arrives. */
export interface Latency {
  /** Median time to sync a 4 KB page to the same disk, in ms. */
  fsync: number
  dispatch: { p50: number; p99: number }
  response: { p50: number; p99: number }
}

/** Sends webhooks to an idle server, one at a time. @param database URL of a PostgreSQL database; null for SQLite */
export async function latency(database: string | null, server = 'relay/dist/main.js'): Promise<Latency> {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'))
  using github = await startGitHub()
  const file = join(folder.path, 'relay.db')
  await using relay = await startServer(server, {
    ...relayEnvironment(database ?? `sqlite:${file}`, github.url),
    BENCH_DATABASE: database ?? file,
  })
  const { hostname: host, port } = new URL(relay.url)
  const socket = connect({ host, port: Number(port), noDelay: true })
  await once(socket, 'connect')
  const dispatches: number[] = []
  const responses: number[] = []
  const syncs: number[] = []
  const page = openSync(join(folder.path, 'page'), 'w')
  const webhooks = signWebhooks(WARM_UP + WEBHOOKS, 0)
  for (let request = takeRequest(webhooks); request !== null; request = takeRequest(webhooks)) {
    const arrival = github.next()
    const sentAt = performance.now()
    socket.write(request)
    const [response] = await once(socket, 'data')
    responses.push(performance.now() - sentAt)
    if (!String(response).startsWith('HTTP/1.1 202')) throw new Error(`a webhook got ${response}`)
    dispatches.push((await arrival) - sentAt)
    syncs.push(syncPage(page))
    // A random pause avoids alignment with the relay's intervals.
    await sleep(PAUSE_MS + Math.random() * PAUSE_MS)
  }
  socket.destroy()
  closeSync(page)
  const of = (all: number[]) => {
    const measured = all.slice(WARM_UP)
    return { p50: percentile(measured, 50), p99: percentile(measured, 99) }
  }
  return { fsync: percentile(syncs, 50), dispatch: of(dispatches), response: of(responses) }
}

/** Writes and syncs a page. Returns the duration of the sync in ms. */
function syncPage(file: number): number {
  writeSync(file, Buffer.alloc(4096, 1))
  const started = performance.now()
  fdatasyncSync(file)
  return performance.now() - started
}

/** Starts a minimal GitHub API that accepts every dispatch and lists no workflow runs. */
export async function startGitHub(): Promise<
  Disposable & {
    url: string
    /** Resolves with the time when the next dispatch arrives. */
    next(): Promise<number>
    dispatched(): number
  }
> {
  let arrive = (_: number) => {}
  let dispatched = 0
  const server = createServer((request, response) => {
    const isDispatch = request.method === 'POST' && request.url?.endsWith('/dispatches')
    if (isDispatch) {
      dispatched++
      arrive(performance.now())
    }
    request.resume().on('end', () => {
      if (isDispatch) response.writeHead(204).end()
      else
        response
          .writeHead(200, { 'content-type': 'application/json' })
          .end('{"total_count":0,"workflow_runs":[]}')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    next: () =>
      new Promise(resolve => {
        arrive = resolve
      }),
    dispatched: () => dispatched,
    [Symbol.dispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}
