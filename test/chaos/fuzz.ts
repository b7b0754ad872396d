import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom } from '../support/random.ts'
import { SECRET } from '../support/sign.ts'
import { type Memory, memoryOf } from './attacker.ts'
import { type FuzzRequest, fuzzRequest, MAX_BODY, sendRaw } from './fuzz-requests.ts'
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
 * Fuzzes a relay process. The heap is so small that a leak of 1 KB per request crashes the relay. V8's young
 * generation has a fixed size because growth of up to 64 MB would look like a leak.
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
    [],
    FLAGS,
  )
  await relay.start()
  const { pid } = relay
  const port = Number(new URL(relay.url).port)
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  /** Responses by status; 0 counts connections that were closed without a response. */
  const statuses: Record<string, number> = {}
  /** The first requests that got a 5xx other than 503. */
  const broken: string[] = []
  let left = 0

  const sender = async () => {
    while (left-- > 0) {
      const raw = random() < 0.05
      const sent = raw ? null : fuzzRequest(random)
      const status = sent ? await send(port, agent, sent) : await sendRaw(port, random)
      statuses[status] = (statuses[status] ?? 0) + 1
      if (status >= 500 && status !== 503 && broken.length < 10) broken.push(describe(status, sent))
    }
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
    agent.destroy()
    await relay.kill()
  }
}

function send(port: number, agent: Agent, { method, path, headers, body }: FuzzRequest): Promise<number> {
  return new Promise(resolve => {
    let status = 0
    const length = { 'content-length': body.length }
    const options = { host: '127.0.0.1', port, agent, method, path, headers: { ...headers, ...length } }
    const sent = request(options, response => {
      status = response.statusCode ?? 0
      response.resume()
      response.on('close', () => resolve(status))
    })
    sent.on('error', () => resolve(status))
    sent.setTimeout(NO_RESPONSE_MS, () => {
      resolve(NO_RESPONSE)
      sent.destroy()
    })
    sent.end(body)
  })
}

const describe = (status: number, sent: FuzzRequest | null) =>
  `${status}: ${sent ? `${sent.method} ${sent.path} ${sent.body.subarray(0, 300).toString()}` : 'raw'}`

/** Every check refuses some requests, and some requests pass all checks. */
const STATUSES = [200, 202, 400, 401, 403, 404, 405, 413, 415, 422]

/** The promises that did not hold. */
export function brokenBy({ broken, alive, rounds, statuses }: Awaited<ReturnType<typeof fuzz>>): string[] {
  const missing = STATUSES.filter(status => !statuses[status]).map(status => `no request got ${status}`)
  const grown = growth(rounds, 'held') >= 20 || growth(rounds, 'rss') >= 50
  const others = [!alive && 'the relay is not ready afterward', grown && "the relay's memory grew"]
  return [...broken, ...missing, ...others].filter(each => each !== false)
}

/** The growth from the first round to the last (MB). */
export const growth = (rounds: Memory[], of: keyof Memory): number =>
  Math.round((rounds.at(-1)?.[of] ?? 0) - (rounds[0]?.[of] ?? 0))
