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
/** The pause after a webhook, in which the relay becomes idle. */
const PAUSE_MS = 150

/** Times in ms from sending a webhook until its dispatch arrives at GitHub, and until its response arrives. */
export interface Latency {
  /** Median time to sync a 4 KB page to the same disk, in ms. */
  fsync: number
  dispatch: { p50: number; p99: number }
  response: { p50: number; p99: number }
}

const SERVERS = { bare: 'bench/servers/dispatch.ts', relay: 'relay/dist/main.js' }

/**
 * Sends webhooks to an idle relay and to an idle bare server, one at a time and alternately, so that other work on the
 * machine affects both.
 * @param createDatabase creates a PostgreSQL database; null for SQLite
 */
export async function latency(
  createDatabase: (() => Promise<string>) | null,
): Promise<Record<keyof typeof SERVERS, Latency>> {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'))
  await using stack = new AsyncDisposableStack()
  const open = async (name: keyof typeof SERVERS) => {
    const database = (await createDatabase?.()) ?? join(folder.path, `${name}.db`)
    const given = createDatabase ? database : `sqlite:${database}`
    const github = stack.use(await startGitHub())
    const server = await startServer(SERVERS[name], {
      ...relayEnvironment(given, github.url),
      BENCH_DATABASE: database,
    })
    const { hostname: host, port } = new URL(stack.use(server).url)
    const socket = connect({ host, port: Number(port), noDelay: true })
    stack.defer(() => void socket.destroy())
    await once(socket, 'connect')
    return { github, socket, dispatches: [] as number[], responses: [] as number[] }
  }
  const servers = { bare: await open('bare'), relay: await open('relay') }
  const syncs: number[] = []
  const page = openSync(join(folder.path, 'page'), 'w')
  const webhooks = signWebhooks(2 * (WARM_UP + WEBHOOKS), 0)
  for (let i = 0; i < WARM_UP + WEBHOOKS; i++) {
    for (const { github, socket, dispatches, responses } of Object.values(servers)) {
      const arrival = github.next()
      const sentAt = performance.now()
      socket.write(takeRequest(webhooks) ?? '')
      const [response] = await once(socket, 'data')
      responses.push(performance.now() - sentAt)
      if (!String(response).startsWith('HTTP/1.1 202')) throw new Error(`a webhook got ${response}`)
      dispatches.push((await arrival) - sentAt)
      syncs.push(syncPage(page))
      // The pause is random, so that it isn't in step with the relay's intervals.
      await sleep(PAUSE_MS + Math.random() * PAUSE_MS)
    }
  }
  closeSync(page)
  const of = (all: number[]) => {
    const measured = all.slice(WARM_UP)
    return { p50: percentile(measured, 50), p99: percentile(measured, 99) }
  }
  const result = ({ dispatches, responses }: typeof servers.relay) => ({
    ...{ fsync: percentile(syncs, 50), dispatch: of(dispatches), response: of(responses) },
  })
  return { bare: result(servers.bare), relay: result(servers.relay) }
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
