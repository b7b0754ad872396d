import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { LIMITS } from '../config/limits.ts'
import type { BodyReservation } from './body-memory.ts'
import { Problem } from './problem.ts'

/** Allows a slow sender to start with small pieces. */
const FIRST_PIECES = 200

/**
 * Reads the body's bytes unchanged.
 *
 * @param maxBytes maximum size. A larger body is refused before it's read if its length is declared, otherwise as soon
 *   as it exceeds the limit.
 * @param declared result of `checkLength`, if the caller has already called it
 * @throws Problem 413; 400 if the sender disconnected; 503 or 408 if the body was dropped
 */
export async function readBody(
  c: Context,
  maxBytes: number,
  reservation: BodyReservation,
  declared = checkLength(c, maxBytes),
): Promise<Uint8Array> {
  let body = NOTHING
  let length = 0
  let pieces = 0
  try {
    await eachChunk(c, reservation, chunk => {
      if (++pieces > FIRST_PIECES && length < pieces * LIMITS.bodyPiece.value) throw TOO_SMALL
      const needed = length + chunk.length
      if (needed > maxBytes) throw tooLarge(maxBytes)
      if (length === 0) {
        reservation.take(needed)
        body = chunk
      } else {
        // Copied into one buffer, because a stored one-byte chunk takes hundreds of bytes.
        if (needed > body.length) {
          // The buffer grows as bytes arrive, so that a declared length alone reserves no memory.
          const size = Math.max(needed, Math.min(2 * needed, declared ?? maxBytes))
          reservation.take(size - body.length)
          const grown = Buffer.allocUnsafeSlow(size)
          grown.set(body)
          body = grown
        }
        body.set(chunk, length)
      }
      length = needed
    })
    return body.subarray(0, length)
  } catch (error) {
    if (error instanceof Problem) throw error
    throw new Problem(400, 'The body did not arrive completely.')
  } finally {
    // The request keeps its listeners, which keep a reference to this variable.
    body = NOTHING
  }
}

const NOTHING = new Uint8Array(0)

const TOO_SMALL = new Problem(
  400,
  `The body arrives in pieces of less than ${LIMITS.bodyPiece.value} bytes: send it with a Content-Length, or in larger chunks.`,
  { connection: 'close' },
)

/** Reads Node's request directly if possible, because a web stream adds overhead. Stops if `take` throws. */
function eachChunk(
  c: Context,
  reservation: BodyReservation,
  take: (chunk: Uint8Array<ArrayBuffer>) => void,
): Promise<void> {
  const { incoming } = (c.env ?? {}) as Partial<HttpBindings>
  const stream = incoming ?? Readable.fromWeb((c.req.raw.body ?? new Blob([]).stream()) as ReadableStream)
  return new Promise((resolve, reject) => {
    const stop = (problem: unknown) => {
      stream.off('data', onData)
      // Stop reading but leave the connection open for the response. Drain small pieces, which would otherwise pile up.
      if (problem === TOO_SMALL) stream.resume()
      else stream.pause()
      reject(problem)
    }
    const onData = (chunk: Buffer<ArrayBuffer>) => {
      try {
        take(chunk)
      } catch (error) {
        stop(error)
      }
    }
    reservation.arrive(stop)
    // Node's `finished` adds more listeners, and takes as long as verifying the signature.
    const onClose = () => {
      if (!stream.readableEnded) reject(new Error('closed'))
    }
    if (stream.closed) onClose()
    else stream.on('end', resolve).on('error', reject).on('close', onClose).on('data', onData)
  })
}

/**
 * @returns the declared body length; null if none is declared
 * @throws Problem 413 if it's too large
 */
export function checkLength(c: Context, maxBytes: number): number | null {
  const declared = c.req.header('content-length')
  if (declared !== undefined && Number(declared) > maxBytes) throw tooLarge(maxBytes)
  return declared === undefined || c.req.header('transfer-encoding') !== undefined ? null : Number(declared)
}

function tooLarge(maxBytes: number): Problem {
  return new Problem(413, `The body is larger than RELAY_MAX_BODY allows (${maxBytes} bytes).`, {
    connection: 'close',
  })
}
