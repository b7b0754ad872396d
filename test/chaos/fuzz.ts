import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom } from '../support/random.ts'
import { SECRET } from '../support/requests.ts'
import { type Memory, memoryOf } from './attacker.ts'
import { type FuzzRequest, fuzzRequest, MAX_BODY, rawBytes } from './fuzz-requests.ts'
import { prepareRelay } from './relay-process.ts'
import { ADMIN_TOKEN, MEASURED } from './system.ts'

const CONNECTIONS = 32
/** Rounds have equal length, so that their memory peaks are comparable. The first round warms up the relay. */
const ROUNDS = 10
const REST_MS = 500
const FLAGS = ['--max-old-space-size=96', '--min-semi-space-size=8', '--max-semi-space-size=8', ...MEASURED]
/** Longer than any response takes. */
const NO_RESPONSE_MS = 10_000
const NO_RESPONSE = 599

/**
 * Fuzzes a relay process. The heap is so small that a leak of 1 KB per request crashes the relay. V8's young generation
 * has a fixed size, because its growth by up to 64 MB would look like a leak.
 *
 * @param options.seed the same seed creates the same requests
 */
export async function fuzz(options: { count: number; database: string; seed: number; rounds?: number }) {
  const random = seededRandom(options.seed)
  const relay = await prepareRelay(
    {
      PORT_CLIENT_SECRET: SECRET,
      GITHUB_TOKEN: 'github_pat_none',
      GITHUB_API_URL: 'http://127.0.0.1:9',
      RELAY_REPOSITORY: 'acme/shop',
      RELAY_DATABASE: options.database,
      RELAY_ADMIN_TOKEN: ADMIN_TOKEN,
      RELAY_MAX_BODY: `${MAX_BODY}b`,
      LOG_LEVEL: 'error',
    },
    FLAGS,
  )
  await relay.start()
  const { pid } = relay
  const port = Number(new URL(relay.url).port)
  /** Responses by status; 0 counts connections that were closed without a response. */
  const statuses: Record<string, number> = {}
  /** The first requests that got a 5xx other than 503. */
  const broken: string[] = []
  let left = 0

  const sender = async () => {
    let kept: Socket | null = null
    while (left-- > 0) {
      const sent = random() < 0.05 ? null : fuzzRequest(random)
      const socket: Socket =
        sent && kept && !kept.destroyed ? kept : connect(port, '127.0.0.1').on('error', () => {})
      const response = exchange(socket, sent ? bytesOf(sent) : rawBytes(random), sent)
      if (!sent && random() < 0.5) socket.end()
      const status = await response
      if (sent) kept = socket
      statuses[status] = (statuses[status] ?? 0) + 1
      if (status >= 500 && status !== 503 && broken.length < 10) broken.push(describe(status, sent))
    }
    kept?.destroy()
  }
  const round = async (count: number) => {
    left = count
    await Promise.all(Array.from({ length: CONNECTIONS }, sender))
    await sleep(REST_MS)
    return memoryOf(relay)
  }
  try {
    /** The memory after each round. */
    const rounds: Memory[] = []
    for (let n = 0; n < (options.rounds ?? ROUNDS); n++) {
      rounds.push(await round(options.count / (options.rounds ?? ROUNDS)))
    }
    const ready = await fetch(`${relay.url}/readyz`).then(
      response => response.ok,
      () => false,
    )
    /** Whether the same process still works after the last request. */
    const alive = relay.running() && relay.pid === pid && ready
    return { statuses, broken, alive, rounds, printed: relay.printed() }
  } finally {
    await relay.kill()
  }
}

/**
 * Sends bytes and waits for the response. Keeps the connection open for the next request if possible. Node's HTTP
 * client would need 50% more CPU time.
 *
 * @param sent `null` for malformed bytes
 * @returns the status; 0 if the connection was closed without a response
 */
function exchange(socket: Socket, bytes: Buffer, sent: FuzzRequest | null): Promise<number> {
  return new Promise(resolve => {
    let response = ''
    const end = (status: number, isOpen = false) => {
      for (const [event, listener] of listeners) socket.off(event, listener)
      if (!isOpen) socket.destroy()
      resolve(status)
    }
    const status = () => Number(/^HTTP\/1\.1 (\d{3})/.exec(response)?.[1] ?? 0)
    const onData = (chunk: Buffer) => {
      response = (response + chunk.toString('latin1')).replace(/^HTTP\/1\.1 100[\s\S]*?\r\n\r\n/, '')
      const head = /^[\s\S]*?\r\n\r\n/.exec(response)?.[0] ?? ''
      const length = sent?.method === 'HEAD' ? 0 : Number(/\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
      const isComplete = /\ntransfer-encoding/i.test(head)
        ? response.endsWith('\r\n0\r\n\r\n')
        : response.length >= head.length + length
      if (head && isComplete) end(status(), sent !== null && !/\nconnection: close/i.test(head))
    }
    const onTimeout = () => end(sent ? NO_RESPONSE : status())
    const listeners = Object.entries({ data: onData, close: () => end(status()), timeout: onTimeout })
    for (const [event, listener] of listeners) socket.on(event, listener)
    // Malformed bytes often get no response.
    socket.setTimeout(sent ? NO_RESPONSE_MS : 300).write(bytes)
  })
}

function bytesOf({ method, path, headers, body }: FuzzRequest): Buffer {
  const fields = Object.entries({ host: 'x', ...headers, 'content-length': body.length })
  const head = [`${method} ${path} HTTP/1.1`, ...fields.map(each => each.join(': ')), '', ''].join('\r\n')
  return Buffer.concat([Buffer.from(head, 'latin1'), body])
}

const describe = (status: number, sent: FuzzRequest | null) =>
  `${status}: ${sent ? `${sent.method} ${sent.path} ${sent.body.subarray(0, 300).toString()}` : 'raw'}`

/** Each status must occur: every check refuses some requests, and some requests pass all checks. */
const STATUSES = [200, 202, 400, 401, 403, 404, 405, 413, 415, 422]

/** Returns what went wrong, one message each. */
export function brokenBy({ broken, alive, rounds, statuses }: Awaited<ReturnType<typeof fuzz>>): string[] {
  const missing = STATUSES.filter(status => !statuses[status]).map(status => `no request got ${status}`)
  const grown = growth(rounds, 'held') >= 20 || growth(rounds, 'rss') >= 50
  const others = [!alive && 'the relay is not ready afterward', grown && "the relay's memory grew"]
  return [...broken, ...missing, ...others].filter(each => each !== false)
}

/** The growth from the first round to the last (MB). */
export const growth = (rounds: Memory[], of: keyof Memory): number =>
  Math.round((rounds.at(-1)?.[of] ?? 0) - (rounds[0]?.[of] ?? 0))
