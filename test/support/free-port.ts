import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * Returns a free port, for a process whose address must be known before it starts. Each vitest worker has its own ports,
 * and Linux assigns only ports from 32768. So the port stays free while the process starts, or restarts after a kill.
 */
export async function freePort(): Promise<number> {
  const port = 16_000 + 1_000 * (Number(process.env.VITEST_POOL_ID ?? 0) % 16) + randomInt(1_000)
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
