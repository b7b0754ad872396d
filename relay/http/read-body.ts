import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { BOUNDS } from '../config/bounds.ts'
import type { BodyRoom } from './body-memory.ts'
import { checkLength, tooLarge } from './content-length.ts'
import { Problem } from './problem.ts'

/** A sender that writes slowly may begin with small pieces. */
const FIRST_PIECES = 200

/**
 * The body's bytes, as they arrived.
 *
 * @param maxBytes a larger one is refused: by its announced length before it is read, else as soon as it
 *   grows past the limit
 * @throws Problem 413; 400 where the sender hung up; 503 or 408 where the body was dropped
 */
export async function readBody(c: Context, maxBytes: number, room: BodyRoom): Promise<Uint8Array> {
  const announced = checkLength(c, maxBytes)
  let body = NOTHING
  let length = 0
  let pieces = 0
  try {
    await eachChunk(c, room, chunk => {
      if (++pieces > FIRST_PIECES && length < pieces * BOUNDS.bodyPiece.value) throw TOO_SMALL
      const needed = length + chunk.length
      if (needed > maxBytes) throw tooLarge(maxBytes)
      if (length === 0) {
        room.take(needed)
        body = chunk
      } else {
        // Copied into one buffer: keeping a chunk of one byte costs hundreds of bytes.
        if (needed > body.length) {
          // Grows with what has arrived, not with what is announced: an announcement alone takes no memory.
          const size = Math.max(needed, Math.min(2 * needed, announced ?? maxBytes))
          room.take(size - body.length)
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
    throw new Problem(400, 'The body did not arrive whole.')
  } finally {
    // The request keeps what listens to it, and with it this variable.
    body = NOTHING
  }
}

const NOTHING = new Uint8Array(0)

const TOO_SMALL = new Problem(
  400,
  `The body arrives in pieces of less than ${BOUNDS.bodyPiece.value} bytes: send it with a Content-Length, or in larger chunks.`,
  { connection: 'close' },
)

/** From Node's own request where there is one: a web stream around it costs more. What `take` throws ends it. */
function eachChunk(
  c: Context,
  room: BodyRoom,
  take: (chunk: Uint8Array<ArrayBuffer>) => void,
): Promise<void> {
  const { incoming } = (c.env ?? {}) as Partial<HttpBindings>
  const stream = incoming ?? Readable.fromWeb((c.req.raw.body ?? new Blob([]).stream()) as ReadableStream)
  return new Promise((resolve, reject) => {
    const stop = (problem: unknown) => {
      stream.off('data', onData)
      // The rest is not read: the refusal still has to be answered. Of small pieces, those that are here would pile up.
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
    room.arrive(stop)
    // Not Node's `finished`, which listens to more than a request has and costs as much as the signature.
    const onClose = () => {
      if (!stream.readableEnded) reject(new Error('closed'))
    }
    if (stream.closed) onClose()
    else stream.on('end', resolve).on('error', reject).on('close', onClose).on('data', onData)
  })
}
