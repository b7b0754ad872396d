import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempDisposableSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { signWebhooks, takeRequest } from './load/webhooks.ts'
import { startServer } from './processes.ts'
import { relayEnvironment } from './relay-environment.ts'

/*
 * `node bench/count-syncs.ts`: shows with `strace` (Linux) that a delivery is on disk before the relay responds to the
 * webhook: an fsync or fdatasync starts between each webhook and its response.
 */
const WEBHOOKS = 50

using folder = mkdtempDisposableSync(join(tmpdir(), 'syncs-'))
const database = `sqlite:${join(folder.path, 'relay.db')}`
await using relay = await startServer('relay/dist/main.js', relayEnvironment(database))
const trace = join(folder.path, 'trace')
// Traces every thread. Prints the time and duration of each call.
const calls = ['-e', 'trace=fsync,fdatasync', '-f', '-ttt', '-T', '-o', trace]
const strace = spawn('strace', [...calls, '-p', String(relay.child.pid)], { stdio: 'ignore' })
strace.on('error', () => {
  console.error("strace isn't installed: apt-get install strace")
  process.exit(1)
})
await sleep(1_000)
const spans = await sendOneByOne()
strace.kill('SIGINT')
await once(strace, 'close')
const syncs = readFileSync(trace, 'utf8')
  .split('\n')
  .filter(line => / = 0\b/.test(line))
  .map(line => Number(/\d+\.\d+/.exec(line)?.[0]) * 1000)
const proved = spans.filter(({ sentAt, respondedAt }) => syncs.some(at => at >= sentAt && at <= respondedAt))
console.log(
  `${spans.length} webhooks, one after the other; ${syncs.length} fsync or fdatasync calls. For ${proved.length} webhooks, ` +
    'a sync started between the webhook and its response',
)
if (proved.length < spans.length) process.exitCode = 1

/** Returns when each webhook was sent and when its response arrived. Like strace, uses milliseconds since 1970. */
async function sendOneByOne(): Promise<{ sentAt: number; respondedAt: number }[]> {
  const { hostname: host, port } = new URL(relay.url)
  const socket = connect({ host, port: Number(port), noDelay: true })
  await once(socket, 'connect')
  const webhooks = signWebhooks(WEBHOOKS, 0)
  const spans = []
  const now = () => performance.timeOrigin + performance.now()
  for (let request = takeRequest(webhooks); request !== null; request = takeRequest(webhooks)) {
    const sentAt = now()
    socket.write(request)
    await once(socket, 'data')
    spans.push({ sentAt, respondedAt: now() })
    await sleep(20)
  }
  socket.destroy()
  return spans
}
