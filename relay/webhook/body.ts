import type { Context } from 'hono'
import { Problem } from '../problem.ts'
import { checkLength, tooLarge } from './headers.ts'

/** As much of an announced body is held for it before it comes, which is cheaper; of a larger one, what has come. */
const PROMPT_BYTES = 64 * 1024

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
    // Whoever only announces must not take the room of those who send, so room is kept for small bodies alone.
    if (announced !== null && announced <= Math.min(PROMPT_BYTES, maxBytes / 16)) {
      reserve(announced)
      return new Uint8Array(await c.req.arrayBuffer())
    }
    const chunks: Uint8Array[] = []
    let length = 0
    for await (const chunk of c.req.raw.body ?? []) {
      length += chunk.length
      if (length > maxBytes) throw tooLarge(maxBytes)
      reserve(chunk.length)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } catch (error) {
    if (error instanceof Problem) throw error
    throw new Problem(400, 'The body did not arrive whole.')
  }
}
