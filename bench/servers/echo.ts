import { serve } from '@hono/node-server'
import { Hono } from 'hono'

const app = new Hono().post('/webhook', async c => c.body(await c.req.arrayBuffer()))
serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) =>
  console.log(JSON.stringify({ port })),
)
