import { join } from 'node:path'

/** Environment of a child that runs sources: Node keeps what it has made of them. It halves the time to start. */
export const COMPILE_CACHE = {
  NODE_COMPILE_CACHE: join(import.meta.dirname, '../../node_modules/.cache/node'),
}
