/** What is kept: far more than a hundred lines need. */
const KEPT_BYTES = 512 * 1024

/** The end of a stream of UTF-8 text, however long it is, from the start of a line. */
export async function readTail(stream: AsyncIterable<Uint8Array>, keep = KEPT_BYTES): Promise<string> {
  let chunks: Uint8Array[] = []
  let length = 0
  let cut = false
  for await (const chunk of stream) {
    chunks.push(chunk)
    length += chunk.length
    if (length < 2 * keep) continue
    const end = Buffer.concat(chunks).subarray(-keep)
    chunks = [end]
    length = end.length
    cut = true
  }
  const whole = Buffer.concat(chunks)
  const end = whole.subarray(-keep)
  const text = end.toString('utf8')
  return cut || end.length < whole.length ? text.slice(text.indexOf('\n') + 1) : text
}
