import { createHmac, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'

export const SECRET = 'bench-client-secret-0123456789abcdef'

/** Deliveries as Port sends them, each a run of its own; the body is that of a day-2 action, 1.4 KB. */
export function signedRequests(count: number): { body: string; headers: Record<string, string> }[] {
  const body = JSON.parse(readFileSync(new URL('./body.json', import.meta.url), 'utf8'))
  const timestamp = String(Math.floor(Date.now() / 1000))
  return Array.from({ length: count }, () => {
    const text = JSON.stringify({ ...body, run: { id: `r_${randomBytes(8).toString('hex')}` } })
    const signature = createHmac('sha256', SECRET).update(`${timestamp}.${text}`).digest('base64')
    return {
      body: text,
      headers: {
        'content-type': 'application/json',
        'x-port-timestamp': timestamp,
        'x-port-signature': `v1,${signature}`,
      },
    }
  })
}
