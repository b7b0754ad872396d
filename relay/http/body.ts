import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { LIMITS } from '../config/limits.ts'
import type { BodyReservation } from './body-memory.ts'
import { Problem } from './problem.ts'

/** A sender that writes slowly may start with small pieces. */
const FIRST_PIECES = 200

/**
 * The body's bytes, as they arrived.
 *
 * @param maxBytes a larger one is refused: by its announced length before it's read, otherwise as soon as it exceeds
 *   the limit
 * @param declared what `checkLength` returned, if the caller has checked it already
 * @throws Problem 413; 400 if the sender hung up; 503 or 408 if the body was dropped
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
        // Copied into one buffer, because a kept chunk of one byte costs hundreds of bytes.
        if (needed > body.length) {
          // It grows with the bytes that have arrived: an announced length alone takes no memory.
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
    // The request keeps its listeners, and they keep this variable.
    body = NOTHING
  }
}

const NOTHING = new Uint8Array(0)

const TOO_SMALL = new Problem(
  400,
  `The body arrives in pieces of less than ${LIMITS.bodyPiece.value} bytes: send it with a Content-Length, or in larger chunks.`,
  { connection: 'close' },
)

/** Reads Node's own request if there is one, because a web stream around it costs more. An error of `take` ends it. */
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
      // The rest isn't read, but the response still has to be sent. Small pieces that are here would pile up.
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
    // Not Node's `finished`: it adds more listeners, and costs as much as the signature.
    const onClose = () => {
      if (!stream.readableEnded) reject(new Error('closed'))
    }
    if (stream.closed) onClose()
    else stream.on('end', resolve).on('error', reject).on('close', onClose).on('data', onData)
  })
}

/**
 * @returns the announced length of the body; null if there is none
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
