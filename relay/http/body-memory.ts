import type { Context } from 'hono'
import { LIMITS } from '../config/limits.ts'
import { Problem } from './problem.ts'
import { senderAddress, VERIFIED } from './request.ts'

/** The memory reserved for one request body. */
export interface BodyReservation {
  /**
   * Starts the clock for reading the body.
   *
   * @param onDrop called after an arriving body was dropped and its memory was released
   */
  arrive(onDrop: (problem: Problem) => void): void
  /**
   * Reserves memory for bytes that have arrived. If no memory is left, drops the slowest body.
   * @throws Problem 503 if this body is the slowest
   */
  take(bytes: number): void
  /**
   * Marks the body as complete and its sender as verified, so that other bodies no longer displace this body.
   *
   * @param shares the most memory (bytes) that bodies of each of these can use while they are processed
   * @throws Problem 429 if the body exceeds a share, 503 if too many bodies are being processed
   */
  accept(shares?: Record<string, number>): void
  /** Releases the memory. */
  release(): void
}

export interface BodyMemoryOptions {
  /** Memory for arriving bodies, in bytes. */
  arrivingBytes: number
  /** Memory for bodies of verified senders that are being processed, in bytes. */
  processingBytes: number
  /** How many proxies in front of the relay append to X-Forwarded-For. */
  trustedProxies: number
}

/** Runs a request's handler with memory for the body. The memory is released when the handler finishes. */
export type WithReservation = (
  c: Context,
  handle: (reservation: BodyReservation) => Promise<Response>,
) => Promise<Response>

interface Arriving {
  sender: string
  since: number
  bytes: number
  drop(problem: Problem): void
}

const CHECK_RATE_MS = 500

/**
 * The body memory for one kind of route. All arriving bodies share one budget. When the budget is used up, the slowest
 * body is dropped. Slowness is the elapsed time multiplied by the bytes that the sender's address uses. A sender that
 * opens many connections, or keeps connections open, therefore loses only its own bodies. Bodies that arrive more
 * slowly than the minimum rate are always dropped.
 */
export function createBodyMemory(options: BodyMemoryOptions): WithReservation {
  const { arrivingBytes, processingBytes, trustedProxies } = options
  const arriving = new Set<Arriving>()
  const heldBySender = createSums()
  const processing = createSums()
  let held = 0
  let checking: NodeJS.Timeout | null = null

  function add(body: Arriving, bytes: number): void {
    body.bytes += bytes
    held += bytes
    heldBySender.add(body.sender, bytes)
  }

  function remove(body: Arriving): void {
    if (arriving.delete(body)) add(body, -body.bytes)
  }

  function slowest(now: number): Arriving | null {
    let found: Arriving | null = null
    let most = -1
    for (const body of arriving) {
      if (body.bytes === 0) continue
      const cost = (now - body.since) * heldBySender.of(body.sender)
      if (cost > most) [found, most] = [body, cost]
    }
    return found
  }

  function checkRates(): void {
    const now = performance.now()
    for (const body of arriving) {
      const elapsed = now - body.since
      if (elapsed < LIMITS.bodyRateGrace) break // Bodies are in order of arrival.
      if (body.bytes < (LIMITS.bodyRate * elapsed) / 1000) body.drop(tooSlow())
    }
    if (arriving.size === 0 && checking) {
      clearInterval(checking)
      checking = null
    }
  }

  function open(sender: string, onVerified: () => void): BodyReservation {
    const body: Arriving = {
      sender,
      since: 0,
      bytes: 0,
      drop: () => {},
    }
    let accepted: [key: string, bytes: number][] = []
    return {
      arrive(onDrop) {
        body.since = performance.now()
        body.drop = problem => {
          remove(body)
          onDrop(problem)
        }
        arriving.add(body)
        checking ??= setInterval(checkRates, CHECK_RATE_MS).unref()
      },
      take(bytes) {
        if (bytes > arrivingBytes) throw overloaded()
        const now = performance.now()
        while (held + bytes > arrivingBytes) {
          const victim = slowest(now) ?? body
          if (victim === body) throw overloaded()
          victim.drop(overloaded())
        }
        add(body, bytes)
      },
      accept(shares = {}) {
        onVerified()
        const { bytes } = body
        remove(body)
        for (const [key, most] of Object.entries(shares))
          if (processing.of(key) + bytes > most) throw overShare(key, most)
        if (processing.of(ALL) + bytes > processingBytes) throw overloaded()
        accepted = [ALL, ...Object.keys(shares)].map(key => [key, bytes])
        for (const [key] of accepted) processing.add(key, bytes)
      },
      release() {
        remove(body)
        for (const [key, bytes] of accepted) processing.add(key, -bytes)
        accepted = []
      },
    }
  }

  return (c, handle) => {
    const reservation = open(senderAddress(c, trustedProxies), () => c.set(VERIFIED, true))
    return handle(reservation).finally(reservation.release)
  }
}

const ALL = ''

/** Sums by key. Forgets keys whose sum is 0. */
function createSums() {
  const sums = new Map<string, number>()
  const of = (key: string) => sums.get(key) ?? 0
  return {
    of,
    add(key: string, bytes: number) {
      const sum = of(key) + bytes
      if (sum > 0) sums.set(key, sum)
      else sums.delete(key)
    },
  }
}

function overShare(key: string, most: number): Problem {
  const sentence = `The bodies of ${key} that wait to be processed exceed ${most} bytes; this request wasn't accepted. Send it again shortly, and send less at once.`
  return new Problem(429, sentence, { 'retry-after': '1' })
}

function overloaded(): Problem {
  return new Problem(
    503,
    "The relay receives too many requests; this request wasn't accepted. Send it again shortly.",
    { 'retry-after': '1', connection: 'close' },
  )
}

function tooSlow(): Problem {
  return new Problem(408, `The body arrives too slowly: send at least ${LIMITS.bodyRate} bytes per second.`, {
    connection: 'close',
  })
}
