import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../tools/simulator/http-server.ts'
import { prepareRelay, type RelayProcess } from '../faults/relay-process.ts'
import { ADMIN_TOKEN } from '../faults/world.ts'
import { seededRandom } from '../support/random.ts'
import { SECRET } from '../support/sign.ts'
import { type FuzzRequest, fuzzRequest, MAX_BODY } from './fuzz-requests.ts'
import { sendRaw } from './raw-requests.ts'

/** In MB: what the process has of the system, and what its JavaScript holds on to. */
export interface Memory {
  rss: number
  held: number
}

export interface FuzzResult {
  requests: number
  /** How many answers there were of each status; 0 where the connection was closed without one. */
  statuses: Record<string, number>
  /** The first requests that were answered with 5xx, but for 503. */
  broken: string[]
  /** It is the same process at the end, and it still works. */
  alive: boolean
  /** Memory after each round, once the garbage is collected. */
  rounds: Memory[]
  printed: string
}

const CONNECTIONS = 32
/** Equal, so that their peaks are: a longer one leaves more garbage to its end. The first warms the relay up. */
const ROUNDS = 10
const REST_MS = 500
const FLAGS = [
  '--max-old-space-size=96',
  '--min-semi-space-size=8',
  '--max-semi-space-size=8',
  '--expose-gc',
  `--import=${join(import.meta.dirname, 'memory.ts')}`,
]
/** Longer than any answer takes; the relay itself hangs up on slow senders only. */
const UNANSWERED_MS = 10_000
const UNANSWERED = 599

/**
 * Fuzzes a relay in a process of its own. Its heap is held small, so that what it does not let go of shows: a
 * leak of a kilobyte a request would end it. V8's space for young objects is of one size from the start, or its
 * own growing in the middle, by up to 64 MB and once, would look like one.
 *
 * @param seed the same gives the same requests
 */
export async function fuzz(options: {
  count: number
  database: string
  seed: number
  rounds?: number
}): Promise<FuzzResult> {
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
  const statuses: Record<string, number> = {}
  const broken: string[] = []
  let left = 0

  const sender = async () => {
    while (left-- > 0) {
      const raw = random() < 0.05
      const asked = raw ? null : fuzzRequest(random)
      const status = asked ? await send(port, agent, asked) : await sendRaw(port, random)
      statuses[status] = (statuses[status] ?? 0) + 1
      if (status >= 500 && status !== 503 && broken.length < 10) broken.push(describe(status, asked))
    }
  }
  const round = async (count: number) => {
    left = count
    await Promise.all(Array.from({ length: CONNECTIONS }, sender))
    await sleep(REST_MS)
    return memory(relay)
  }
  try {
    const rounds: Memory[] = []
    for (let n = 0; n < (options.rounds ?? ROUNDS); n++) {
      rounds.push(await round(options.count / (options.rounds ?? ROUNDS)))
    }
    const ready = await fetch(`${relay.url}/readyz`).then(
      answer => answer.ok,
      () => false,
    )
    const alive = relay.running() && relay.pid === pid && ready
    return { requests: options.count, statuses, broken, alive, rounds, printed: relay.printed() }
  } finally {
    agent.destroy()
    await relay.kill()
  }
}

function send(port: number, agent: Agent, { method, path, headers, body }: FuzzRequest): Promise<number> {
  return new Promise(resolve => {
    let status = 0
    const length = { 'content-length': body.length }
    const sent = request(
      { host: '127.0.0.1', port, agent, method, path, headers: { ...headers, ...length } },
      response => {
        status = response.statusCode ?? 0
        response.resume()
        response.on('close', () => resolve(status))
      },
    )
    sent.on('error', () => resolve(status))
    sent.setTimeout(UNANSWERED_MS, () => {
      resolve(UNANSWERED)
      sent.destroy()
    })
    sent.end(body)
  })
}

const describe = (status: number, asked: FuzzRequest | null) =>
  `${status}: ${asked ? `${asked.method} ${asked.path} ${asked.body.subarray(0, 300).toString()}` : 'raw'}`

/** From the first round to the last, in MB. */
export const growth = (rounds: Memory[], of: keyof Memory): number =>
  Math.round((rounds.at(-1)?.[of] ?? 0) - (rounds[0]?.[of] ?? 0))

/** What is left after its garbage is collected. */
async function memory(relay: RelayProcess): Promise<Memory> {
  const lines = () => relay.printed().match(/\{"memory":.*\}/g) ?? []
  const before = lines().length
  process.kill(relay.pid, 'SIGUSR2')
  await until(() => lines().length > before, 'the relay counts its memory')
  const { memory } = JSON.parse(lines().at(-1) as string) as { memory: Memory }
  return { rss: memory.rss / 1024 ** 2, held: memory.held / 1024 ** 2 }
}
