import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '../../simulator/http-server.ts'
import { keepPort } from '../../simulator/keep-port.ts'
import { webhookRequest } from '../support/send.ts'
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

/** How requests reach the relay. */
export type Proxy = 'no proxy' | 'nginx' | 'nginx with keep-alive'

/** Sends requests that are refused over 1,000 connections. At the same time, sends honest webhooks, each over a new connection. */
export async function attackConnections(options: {
  name: keyof typeof REFUSED
  proxy: Proxy
  database: string
  seconds: number
}) {
  const { name, proxy, database, seconds } = options
  const env = { LOG_LEVEL: 'fatal', ...(proxy !== 'no proxy' && { RELAY_TRUSTED_PROXIES: '1' }) }
  return withSystem({ database, connected: true, runs: 'none', env }, async ({ relay }) => {
    await relay.start()
    const relayPort = Number(new URL(relay.url).port)
    const nginx = proxy === 'no proxy' ? null : await startNginx(relayPort, proxy)
    const port = nginx?.port ?? relayPort
    const attacker = startAttacker<Record<string, number>>(import.meta.url, { port, name })
    try {
      const end = performance.now() + seconds * 1_000
      const served = await honest(end, 300, n => sendOverNewConnection(port, n), 202)
      attacker.stop()
      return { served, responses: await attacker.result() }
    } finally {
      await attacker.terminate()
      await nginx?.stop()
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

async function startNginx(relay: number, proxy: Proxy) {
  const [folder, port] = [mkdtempSync(join(tmpdir(), 'nginx-')), await keepPort()]
  const keepAlive = proxy === 'nginx' ? '' : 'proxy_http_version 1.1; proxy_set_header Connection "";'
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    each => `${each}_temp_path ${folder}/${each};`,
  )
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; pid ${folder}/pid; worker_processes 1; worker_rlimit_nofile 20000;
events { worker_connections 8192; }
http {
  access_log off; ${temporary.join(' ')}
  upstream relay { server 127.0.0.1:${relay}; ${proxy === 'nginx' ? '' : 'keepalive 64;'} }
  server {
    listen 127.0.0.1:${port};
    underscores_in_headers on;
    client_max_body_size 25m;
    location / {
      proxy_pass http://relay; ${keepAlive}
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_read_timeout 30s;
    }
  }
}`,
  )
  const nginx = spawn(
    '/usr/sbin/nginx',
    ['-p', folder, '-e', '/dev/null', '-c', join(folder, 'nginx.conf')],
    { stdio: 'inherit' },
  )
  await until(async () => {
    const socket = connect(port, '127.0.0.1')
    return once(socket, 'connect')
      .then(
        () => true,
        () => false,
      )
      .finally(() => socket.destroy())
  }, 'nginx listens')
  return {
    port,
    async stop() {
      nginx.kill()
      await once(nginx, 'exit')
      rmSync(folder, { recursive: true })
    },
  }
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
