import { finished, Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { checkLength, tooLarge } from './content-length.ts'
import { Problem } from './problem.ts'

/**
 * The body's bytes, as they came.
 *
 * @param maxBytes a larger one is refused: by its announced length before it is read, else as soon as it
 *   grows past the limit
 * @param reserve told of the bytes before they are held; throws where there is no room
 * @throws Problem 413, or 400 where the sender hung up
 */
export async function readBody(
  c: Context,
  maxBytes: number,
  reserve: (bytes: number) => void,
): Promise<Uint8Array> {
  const announced = checkLength(c, maxBytes)
  let body = new Uint8Array(0)
  let length = 0
  try {
    await eachChunk(c, chunk => {
      const needed = length + chunk.length
      if (needed > maxBytes) throw tooLarge(maxBytes)
      if (length === 0) {
        reserve(needed)
        body = chunk
      } else {
        // Copied together: a chunk of one byte, kept, costs hundreds for what is around it.
        if (needed > body.length) {
          // By what has come, and not by what is announced: nobody takes room by words alone.
          const grown = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(2 * needed, announced ?? maxBytes)))
          reserve(grown.length - body.length)
          grown.set(body)
          body = grown
        }
        body.set(chunk, length)
      }
      length = needed
    })
  } catch (error) {
    if (error instanceof Problem) throw error
    throw new Problem(400, 'The body did not arrive whole.')
  }
  return body.subarray(0, length)
}

/** From Node's own request where there is one: a web stream around it costs more. What `take` throws ends it. */
function eachChunk(c: Context, take: (chunk: Uint8Array<ArrayBuffer>) => void): Promise<void> {
  const { incoming } = (c.env ?? {}) as Partial<HttpBindings>
  const stream = incoming ?? Readable.fromWeb((c.req.raw.body ?? new Blob([]).stream()) as ReadableStream)
  return new Promise((resolve, reject) => {
    const onData = (chunk: Buffer<ArrayBuffer>) => {
      try {
        take(chunk)
      } catch (error) {
        // The rest is let be: the refusal has to be answered yet.
        stream.off('data', onData).pause()
        reject(error)
      }
    }
    // Also of one that was closed before.
    finished(stream, { writable: false }, error => (error ? reject(error) : resolve()))
    stream.on('data', onData)
  })
}
