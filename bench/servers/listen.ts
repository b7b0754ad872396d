import { serve } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { verifySignature } from '../../relay/intake/signature.ts'
import { SECRET } from '../load/webhooks.ts'

/** The relay's response to a webhook, with an id of the same length. */
export const RESPONSE = {
  delivery: '0d4bd43a-9b7d-4c5e-8f0e-0d3c1f4a5b6c',
  run_id: 'r_0123456789abcdef',
  repository: 'acme/shop',
  event_type: 'deploy_service',
  state: 'queued',
}

/** Serves `POST /webhook` on a port that the system chooses. Prints the port as a JSON line. */
export function listen(receive: (c: Context) => Promise<Response>): void {
  const app = new Hono().post('/webhook', receive)
  serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) =>
    console.log(JSON.stringify({ port })),
  )
}

/** What a user might write instead of the relay: verifies the signature, persists the body by run id, and responds. */
export const receiveWith =
  (persist: (runId: string, body: string) => Promise<unknown>) =>
  async (c: Context): Promise<Response> => {
    const body = await readVerified(c)
    if (!body) return c.json({ verified: false }, 401)
    const text = new TextDecoder().decode(body)
    const { run } = JSON.parse(text) as { run: { id: string } }
    await persist(run.id, text)
    return c.json(RESPONSE, 202)
  }

/** Returns the body's bytes; null if the signature is invalid. */
async function readVerified(c: Context): Promise<Uint8Array | null> {
  const body = new Uint8Array(await c.req.arrayBuffer())
  const signature = c.req.header('x-port-signature') ?? ''
  const timestamp = c.req.header('x-port-timestamp') ?? ''
  const verified = verifySignature([SECRET], signature, timestamp, body)
  return verified === null ? null : body
}
