import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { Problem } from '../problem.ts'
import { checkLength, tooLarge } from './headers.ts'

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
  try {
    // One that comes in pieces is copied together: a piece of one byte, kept, costs hundreds for what is around it.
    let body: Uint8Array = new Uint8Array(0)
    let length = 0
    for await (const chunk of chunks(c)) {
      const needed = length + chunk.length
      if (needed > maxBytes) throw tooLarge(maxBytes)
      if (needed > body.length) {
        // By what has come, and not by what is announced: nobody takes room by words alone.
        const size = length === 0 ? needed : Math.max(needed, Math.min(2 * needed, announced ?? maxBytes))
        reserve(size - body.length)
        const grown = length === 0 ? chunk : Buffer.allocUnsafeSlow(size)
        grown.set(body)
        body = grown
      }
      body.set(chunk, length)
      length = needed
    }
    return body.subarray(0, length)
  } catch (error) {
    if (error instanceof Problem) throw error
    throw new Problem(400, 'The body did not arrive whole.')
  }
}

/** Of Node's own request where there is one: half as many objects as by a web stream. */
function chunks(c: Context): AsyncIterable<Uint8Array> | [] {
  const { incoming } = (c.env ?? {}) as Partial<HttpBindings>
  // It may be refused half-way, and has to be answered then.
  return incoming?.iterator({ destroyOnReturn: false }) ?? c.req.raw.body ?? []
}
