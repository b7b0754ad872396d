import { createHmac, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const SECRET = 'bench-client-secret-0123456789abcdef'

const ID_LENGTH = 18
/** Each line contains a signature, a space, a run id, and a line break. */
const LINE_LENGTH = 44 + 1 + ID_LENGTH + 1
const START = '{"run":{"id":"'

/** Signed webhooks as Port sends them, each with its own run ID. The rest of the body is the same for all webhooks, and is stored once. */
export interface Webhooks {
  timestamp: string
  /** The part of the body after the run id. */
  rest: string
  /** One line per webhook, with its signature and run id. */
  lines: Buffer
  /** Index of the first unsent line. */
  next: number
}

/**
 * Signs webhooks with the 1.4 KB body of a day-2 action. A text input pads larger bodies to the requested size.
 *
 * @param size requested size of the body, in bytes
 */
export function signWebhooks(count: number, size: number): Webhooks {
  const { run: _, ...body } = JSON.parse(readFileSync(new URL('../body.json', import.meta.url), 'utf8'))
  const restOf = (notes?: string) =>
    `"},${JSON.stringify({ ...body, inputs: { ...body.inputs, ...(notes && { notes }) } }).slice(1)}`
  const missing = size - START.length - ID_LENGTH - restOf('x').length + 1
  const rest = missing > 0 ? restOf('x'.repeat(missing)) : restOf()
  const timestamp = String(Math.floor(Date.now() / 1000))
  const lines = Buffer.alloc(count * LINE_LENGTH)
  const random = randomBytes(count * 8).toString('hex')
  for (let i = 0; i < count; i++) {
    const id = `r_${random.slice(i * 16, i * 16 + 16)}`
    const signature = createHmac('sha256', SECRET)
      .update(`${timestamp}.${START}${id}${rest}`)
      .digest('base64')
    lines.write(`${signature} ${id}\n`, i * LINE_LENGTH, 'latin1')
  }
  return { timestamp, rest, lines, next: 0 }
}

/** Returns the headers that Port would send with this body now. */
export function signWebhook(body: string, secret: string): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1000))
  const signature = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('base64')
  return { 'x-port-timestamp': timestamp, 'x-port-signature': `v1,${signature}` }
}

/** Returns the next webhook as an HTTP/1.1 request; null when all webhooks have been sent. */
export function takeRequest(webhooks: Webhooks, path = '/webhook'): string | null {
  const at = webhooks.next * LINE_LENGTH
  if (at >= webhooks.lines.length) return null
  webhooks.next++
  const line = webhooks.lines.toString('latin1', at, at + LINE_LENGTH)
  const body = `${START}${line.slice(45, 45 + ID_LENGTH)}${webhooks.rest}`
  return (
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${body.length}\r\nX-Port-Timestamp: ${webhooks.timestamp}\r\n` +
    `X-Port-Signature: v1,${line.slice(0, 44)}\r\n\r\n${body}`
  )
}

/** Writes the unsent webhooks to files for `wrk.lua`. Returns the arguments for `wrk.lua`. */
export function writeFiles(webhooks: Webhooks, folder: string): string[] {
  const lines = join(folder, 'lines')
  const rest = join(folder, 'rest')
  // The files are flushed now. Otherwise, the server's first sync would also write them.
  writeFileSync(lines, webhooks.lines.subarray(webhooks.next * LINE_LENGTH), { flush: true })
  writeFileSync(rest, webhooks.rest, { flush: true })
  return [lines, rest, webhooks.timestamp, '/webhook']
}
