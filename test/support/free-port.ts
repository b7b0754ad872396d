import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

let next = randomInt(1_000)

/** Returns a port that stays free while a process restarts. Each vitest worker takes its own ports in turn, and by default, Linux itself assigns higher ports. */
export async function freePort(): Promise<number> {
  const port = 16_000 + 1_000 * (Number(process.env.VITEST_POOL_ID ?? 0) % 16) + (next++ % 1_000)
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return freePort()
    throw error
  }
  server.close()
  await once(server, 'close')
  return port
}
