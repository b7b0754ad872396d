import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * Returns a free port, for a process whose address must be known before it starts.
 * Systems assign ports from 32768. A lower port stays free until the process starts, or restarts after a kill.
 */
export async function freePort(): Promise<number> {
  const port = randomInt(16_384, 32_768)
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
