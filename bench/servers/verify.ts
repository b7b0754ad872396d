import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { verifySignature } from '../../relay/intake/signature.ts'
import { SECRET } from '../load/webhooks.ts'

const app = new Hono().post('/webhook', async c => {
  const body = new Uint8Array(await c.req.arrayBuffer())
  const timestamp = c.req.header('x-port-timestamp') ?? ''
  const verified = verifySignature(
    [{ id: 'default', secrets: [SECRET] }],
    c.req.header('x-port-signature') ?? '',
    timestamp,
    body,
  )
  return c.json({ verified: verified !== null }, verified ? 202 : 401)
})
serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) =>
  console.log(JSON.stringify({ port })),
)
