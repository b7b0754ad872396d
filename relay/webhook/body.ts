import type { Context } from 'hono'
import { Problem } from '../problem.ts'

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
  const announced = c.req.header('content-length')
  if (announced !== undefined && Number(announced) > maxBytes) throw tooLarge(maxBytes)
  try {
    if (announced !== undefined && c.req.header('transfer-encoding') === undefined) {
      reserve(Number(announced))
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

function tooLarge(maxBytes: number): Problem {
  return new Problem(413, `The body is larger than RELAY_MAX_BODY allows (${maxBytes} bytes).`, {
    connection: 'close',
  })
}
