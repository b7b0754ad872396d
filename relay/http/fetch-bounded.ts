import { BOUNDS } from '../config/bounds.ts'

/**
 * As `fetch`, but the whole answer has arrived.
 *
 * @throws what `fetch` throws, also where the body is cut; Error where it is larger than the bound, whatever it is
 *   compressed to
 */
export async function fetchBounded(url: string, init?: RequestInit): Promise<Response> {
  const answer = await fetch(url, init)
  const { body, headers, status, statusText } = answer
  if (body === null) return answer
  const most = BOUNDS.answer.value
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body) {
    length += chunk.byteLength
    if (length > most) throw new Error(`the answer has more than ${most} bytes`)
    chunks.push(chunk)
  }
  const whole = new Response(Buffer.concat(chunks), { status, statusText, headers })
  return Object.defineProperty(whole, 'url', { value: answer.url })
}
