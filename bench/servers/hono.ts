import { listen, RESPONSE } from './listen.ts'

// The minimum: reads the body and sends the relay's response without doing any work.
listen(async c => {
  await c.req.arrayBuffer()
  return c.json(RESPONSE, 202)
})
