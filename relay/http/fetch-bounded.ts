import { BOUNDS } from '../config/bounds.ts'

/** As `fetch`, but the body of an answer that is larger than the bound cannot be read, whatever it is compressed to. */
export async function fetchBounded(url: string, init?: RequestInit): Promise<Response> {
  const answer = await fetch(url, init)
  const { body, headers, status, statusText } = answer
  const most = BOUNDS.answer.value
  const isKnown = headers.has('content-length') && !headers.has('content-encoding')
  if (body === null || (isKnown && Number(headers.get('content-length')) <= most)) return answer
  let length = 0
  const counted = body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        length += chunk.byteLength
        if (length > most) controller.error(new Error(`the answer has more than ${most} bytes`))
        else controller.enqueue(chunk)
      },
    }),
  )
  const bounded = new Response(counted, { status, statusText, headers })
  return Object.defineProperty(bounded, 'url', { value: answer.url })
}
