import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { percentile } from '../statistics.ts'
import { takeRequest, type Webhooks } from './webhooks.ts'

/*
 * The load generator used if `wrk` isn't installed. Sends one request at a time on each plain socket, and reads only
 * a response's status and length.
 */
const [url = '', connections, seconds, lines = '', rest = '', timestamp = ''] = process.argv.slice(2)
const webhooks: Webhooks = {
  timestamp,
  rest: readFileSync(rest, 'latin1'),
  lines: readFileSync(lines),
  next: 0,
}
const { hostname, port } = new URL(url)
const times: number[] = []
let refused = 0
let failed = 0
const started = performance.now()
const until = started + Number(seconds) * 1000

await Promise.all(Array.from({ length: Number(connections) }, sendAll))
const durationMs = performance.now() - started
const [p50, p99] = [percentile(times, 50), percentile(times, 99)]
console.log(`RESULT ${JSON.stringify({ requests: times.length, durationMs, p50, p99, refused, failed })}`)

function sendAll(): Promise<void> {
  return new Promise(resolve => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true })
    let sentAt = 0
    let received = ''
    const next = () => {
      const request = performance.now() < until ? takeRequest(webhooks) : null
      if (request === null) {
        socket.destroy()
        return resolve()
      }
      sentAt = performance.now()
      received = ''
      socket.write(request, 'latin1')
    }
    socket.setEncoding('latin1')
    socket.on('connect', next)
    socket.on('data', chunk => {
      received += chunk
      const end = received.indexOf('\r\n\r\n')
      if (end < 0) return
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(received)?.[1] ?? 0)
      if (received.length < end + 4 + length) return
      times.push(performance.now() - sentAt)
      if (received[9] !== '2') refused++
      next()
    })
    socket.on('error', () => {
      failed++
      resolve()
    })
  })
}
