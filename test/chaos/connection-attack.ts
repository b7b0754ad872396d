import { request } from 'node:http'
import { connect } from 'node:net'
import { webhookRequest } from '../support/requests.ts'
import { createCounter, honest, runAttacker, startAttacker } from './attacker.ts'
import { withSystem } from './system.ts'

const CONNECTIONS = 1_000
/** How long Port waits for a response. */
const PATIENCE_MS = 10_000

const forged = (payload: string) => Buffer.from(payload).toString('base64url')
const token = `${forged('{"alg":"HS256","typ":"port-report+jwt"}')}.${forged('{"sub":"d","exp":9e9}')}.${forged('x'.repeat(32))}`
const cookie = `relay_session=${encodeURIComponent(`view.${Date.now() + 3_600_000}.x.${Buffer.alloc(32).toString('base64')}`)}`

/** Requests of unverified senders, and the status of their refusals. */
export const REFUSED = {
  'unsigned webhooks': 'POST /webhook HTTP/1.1\r\nhost: relay\r\ncontent-length: 2\r\n\r\n{}',
  'forged cookies': `GET / HTTP/1.1\r\nhost: relay\r\ncookie: ${cookie}\r\n\r\n`,
  'invalid report tokens': `POST /report HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer ${token}\r\ncontent-length: 2\r\n\r\n{}`,
  'health checks': 'GET /healthz HTTP/1.1\r\nhost: relay\r\n\r\n',
} as const

/** Sends requests that are refused over 1,000 connections. At the same time, sends honest webhooks, each over a new connection. */
export async function attackConnections(options: {
  name: keyof typeof REFUSED
  database: string
  seconds: number
}) {
  const { name, database, seconds } = options
  const env = { LOG_LEVEL: 'fatal' }
  return withSystem({ database, connected: true, runs: 'none', env }, async ({ relay }) => {
    await relay.start()
    const port = Number(new URL(relay.url).port)
    const attacker = startAttacker<Record<string, number>>(import.meta.url, { port, name })
    try {
      const end = performance.now() + seconds * 1_000
      const served = await honest(end, 300, n => sendOverNewConnection(port, n), 202)
      attacker.stop()
      return { served, responses: await attacker.result() }
    } finally {
      await attacker.terminate()
    }
  })
}

function sendOverNewConnection(port: number, n: number) {
  const { path, init } = webhookRequest({ body: { n } })
  const headers = Object.fromEntries(init.headers as [string, string][])
  return new Promise<{ status: number }>((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port, path, method: 'POST', headers, agent: false, timeout: PATIENCE_MS },
      response => response.resume().on('end', () => resolve({ status: response.statusCode ?? 0 })),
    )
    sent.on('error', reject).on('timeout', () => sent.destroy(new Error('no response in time')))
    sent.end(init.body)
  })
}

await runAttacker<{ port: number; name: keyof typeof REFUSED }>(
  import.meta.url,
  async ({ port, name }, signal) => {
    const { responses, count } = createCounter()
    const message = REFUSED[name]
    const open = () => {
      if (signal.aborted) return
      const socket = connect(port, '127.0.0.1')
      signal.addEventListener('abort', () => socket.destroy(), { once: true })
      socket.on('connect', () => socket.write(message))
      socket.on('data', (data: Buffer) => {
        for (const [, status] of data.toString('latin1').matchAll(/HTTP\/1\.1 (\d{3})/g)) {
          count(String(status))
          socket.write(message)
        }
      })
      socket.on('error', error => count((error as NodeJS.ErrnoException).code ?? ''))
      socket.on('close', () => {
        count('closed')
        setImmediate(open)
      })
    }
    for (let n = 0; n < CONNECTIONS; n++) open()
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    return responses
  },
)
