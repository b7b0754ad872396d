import { listen, RESPONSE } from './listen.ts'

// The floor: reads the body, and sends what the relay sends.
listen(async c => {
  await c.req.arrayBuffer()
  return c.json(RESPONSE, 202)
})
