import { LIMITS } from '../config/limits.ts'
import { Problem } from './problem.ts'
import { type Head, noteVerified, senderAddress } from './request.ts'

export type BodyReservation = ReturnType<ReturnType<typeof createBodyMemory>>

interface Arriving {
  sender: string
  since: number
  bytes: number
  drop(problem: Problem): void
}

const CHECK_RATE_MS = 500

/**
 * Creates the memory for the bodies of one kind of route. All bodies that arrive after their heads share
 * `arrivingBytes`. When this memory is used up, the slowest body is dropped: the one with the highest product of
 * elapsed time and bytes that the sender's address uses. A sender with many or slow connections therefore loses its own
 * bodies. A body that arrives below the minimum rate is always dropped. Complete bodies of verified senders use the
 * budget `processingBytes`.
 * @returns a function that creates a request's reservation; the caller must release it after handling the request
 */
export function createBodyMemory(
  options: Record<'arrivingBytes' | 'processingBytes' | 'trustedProxies', number>,
) {
  const { arrivingBytes, processingBytes, trustedProxies } = options
  const arriving = new Set<Arriving>()
  const heldBySender = createSums()
  const processedByKey = createSums()
  let held = 0
  let processed = 0
  let checking: NodeJS.Timeout | null = null

  function add(body: Arriving, bytes: number): void {
    body.bytes += bytes
    held += bytes
    heldBySender.add(body.sender, bytes)
  }

  function remove(body: Arriving): void {
    arriving.delete(body)
    add(body, -body.bytes)
  }

  function slowest(): Arriving | null {
    const now = performance.now()
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

  class Reservation {
    #bytes = 0
    #shares: string[] = []
    readonly #head: Head
    constructor(head: Head) {
      this.#head = head
    }

    /**
     * Registers a body that is arriving.
     * @param onDrop called after the relay dropped the body and released its memory
     * @returns `take` reserves memory. To make room, it drops the slowest bodies. It throws Problem 503 if this body is
     *   the slowest, or is too large by itself. `end` releases the memory.
     */
    arrive(onDrop: (problem: Problem) => void) {
      const body: Arriving = {
        sender: senderAddress(this.#head, trustedProxies),
        since: performance.now(),
        bytes: 0,
        drop(problem) {
          remove(body)
          onDrop(problem)
        },
      }
      arriving.add(body)
      checking ??= setInterval(checkRates, CHECK_RATE_MS).unref()
      const take = (bytes: number) => {
        if (bytes > arrivingBytes) throw overloaded()
        while (held + bytes > arrivingBytes) {
          const victim = slowest() ?? body
          if (victim === body) throw overloaded()
          victim.drop(overloaded())
        }
        add(body, bytes)
      }
      return { take, end: () => remove(body) }
    }

    /**
     * Reserves memory for a complete body, and marks its sender as verified. Call it once.
     * @param shares the maximum number of bytes by key, for all bodies with this key that are being processed
     * @throws Problem 429 if the body exceeds a share; 503 if too many bodies are being processed
     */
    accept(bytes: number, shares: Record<string, number> = {}): void {
      noteVerified(this.#head)
      for (const [key, most] of Object.entries(shares))
        if (processedByKey.of(key) + bytes > most) throw overShare(key, most)
      if (processed + bytes > processingBytes) throw overloaded()
      this.#shares = Object.keys(shares)
      this.#process(bytes)
    }

    release(): void {
      this.#process(-this.#bytes)
    }

    #process(bytes: number): void {
      this.#bytes += bytes
      processed += bytes
      for (const key of this.#shares) processedByKey.add(key, bytes)
    }
  }

  return (head: Head) => new Reservation(head)
}

/** Adds up bytes by key. Keeps keys with the sum 0 until there are many, because each deletion creates garbage. */
function createSums() {
  const sums = new Map<string, number>()
  const of = (key: string) => sums.get(key) ?? 0
  const add = (key: string, bytes: number) =>
    of(key) + bytes > 0 || sums.size < LIMITS.idleSenders ? sums.set(key, of(key) + bytes) : sums.delete(key)
  return { of, add }
}

function overShare(key: string, most: number): Problem {
  const sentence = `The unprocessed bodies of ${key} exceed ${most} bytes, so the relay refused this request. Send the request again shortly, and send less at once.`
  return new Problem(429, sentence, { 'retry-after': '1' })
}

function overloaded(): Problem {
  const sentence =
    'The relay receives too many requests, so it refused this request. Send the request again shortly.'
  return new Problem(503, sentence, { 'retry-after': '1', connection: 'close' })
}

function tooSlow(): Problem {
  const sentence = `The body arrives too slowly: send at least ${LIMITS.bodyRate} bytes per second.`
  return new Problem(408, sentence, { connection: 'close' })
}
