import { once } from 'node:events'
import { existsSync, mkdtempDisposableSync, readdirSync, statSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Config } from '../relay/config/config.ts'
import { openBackend } from '../relay/store/open.ts'
import { startPostgres } from '../test/support/postgres.ts'
import { startGitHub } from './latency.ts'
import { signWebhooks, takeRequest, type Webhooks } from './load/webhooks.ts'
import { memory, type Server, startServer, stopServer } from './processes.ts'
import { relayEnvironment } from './relay-environment.ts'

/*
 * `node bench/soak.ts --store sqlite --seconds 600`: sends webhooks at half of the relay's maximum rate for
 * ten minutes. Regularly prints memory use and the size of SQLite's log. Finally, compares sent and stored deliveries.
 */
const CONNECTIONS = 32
const MAXIMUM_S = 10
const SAMPLES = 20
/** Each repository has a separate queue. */
const REPOSITORIES = 200
/** The percentage of webhooks that are sent again. */
const REPEATED_PERCENT = 1

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'sqlite' },
    seconds: { type: 'string', default: '600' },
  },
})
const seconds = Number(values.seconds)
using folder = mkdtempDisposableSync(join(tmpdir(), 'soak-'))
const postgres =
  values.store === 'postgres' ? await startPostgres({ settings: { shared_buffers: '1GB' } }) : null
const path = join(folder.path, 'relay.db')
const url = await postgres?.createDatabase()
const database: Config['database'] = url ? { kind: 'postgres', url } : { kind: 'sqlite', path }
using github = await startGitHub()
const environment = relayEnvironment(url ?? `sqlite:${path}`, github.url)
const relay = await startServer('relay/dist/main.js', {
  ...environment,
  RELAY_ALLOWED_REPOSITORIES: 'acme/*',
})
const responses = { accepted: 0, duplicates: 0, refused: 0 }
let webhooks: Webhooks = signWebhooks(20_000, 0)

try {
  const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, open))
  const started = performance.now()
  await sendFor(sockets, MAXIMUM_S, Number.POSITIVE_INFINITY)
  const maximum = (responses.accepted * 1000) / (performance.now() - started)
  const rate = maximum / 2
  console.log(`${values.store}: at most ${maximum.toFixed(0)}/s; now ${rate.toFixed(0)}/s for ${seconds} s`)
  for (let i = 0; i <= SAMPLES; i++) {
    show(i, relay)
    if (i < SAMPLES) await sendFor(sockets, seconds / SAMPLES, rate)
  }
  for (const socket of sockets) socket.destroy()
  await stopServer(relay)
  const backend = await openBackend(database)
  const [rows = []] = await backend.run([
    { sql: 'SELECT state, count(*) AS amount FROM deliveries GROUP BY state', params: [] },
  ])
  await backend.close()
  const states = Object.fromEntries(rows.map(({ state, amount }) => [String(state), Number(amount)]))
  const stored = Object.values(states).reduce((sum, amount) => sum + amount, 0)
  const whole = responses.accepted === stored && responses.refused === 0
  console.log(
    `received ${responses.accepted + responses.duplicates} = ${responses.duplicates} duplicates + ${JSON.stringify(states)}; ` +
      `${responses.refused} refused, ${github.dispatched()} dispatches at GitHub: ${whole ? 'nothing lost' : 'THESE DIFFER'}`,
  )
  if (!whole) process.exitCode = 1
} finally {
  await stopServer(relay)
  await postgres?.close()
}

function show(sample: number, server: Server): void {
  const handles = existsSync('/proc') ? readdirSync(`/proc/${server.child.pid}/fd`).length : Number.NaN
  const log = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0
  const { now, peak } = memory(server)
  const at = ((sample * seconds) / SAMPLES).toFixed(0).padStart(5)
  console.log(
    `${at} s  memory ${now.toFixed(0)} MB (peak ${peak.toFixed(0)})  ${handles} handles  log ${(log / 1e6).toFixed(0)} MB  ` +
      `${responses.accepted} accepted, ${github.dispatched()} dispatched`,
  )
}

async function open(): Promise<Socket> {
  const { hostname: host, port } = new URL(relay.url)
  const socket = connect({ host, port: Number(port), noDelay: true })
  await once(socket, 'connect')
  return socket
}

/** Sends webhooks at this rate, divided evenly among the connections. Each connection sends one at a time. */
async function sendFor(sockets: Socket[], duration: number, rate: number): Promise<void> {
  const started = performance.now()
  const pause = (CONNECTIONS * 1000) / rate
  await Promise.all(
    sockets.map(async (socket, s) => {
      for (let i = 0; ; i++) {
        const due = started + (i + s / CONNECTIONS) * pause
        const now = performance.now()
        if (Math.max(now, due) - started > duration * 1000) return
        if (due > now + 1) await sleep(due - now)
        const request = next()
        await send(socket, request)
        if (i % 100 < REPEATED_PERCENT) await send(socket, request)
      }
    }),
  )
}

function next(): string {
  const path = `/webhook/acme/shop-${webhooks.next % REPOSITORIES}`
  const request = takeRequest(webhooks, path)
  if (request !== null) return request
  webhooks = signWebhooks(20_000, 0)
  return next()
}

async function send(socket: Socket, request: string): Promise<void> {
  socket.write(request)
  const [response] = await once(socket, 'data')
  const status = String(response).slice(9, 12)
  if (status === '202') responses.accepted++
  else if (status === '200') responses.duplicates++
  else responses.refused++
}
