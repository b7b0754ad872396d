import { join } from 'node:path'

/** Environment of a child that runs sources: Node caches the compiled code, which halves the time to start. */
export const COMPILE_CACHE = {
  NODE_COMPILE_CACHE: join(import.meta.dirname, '../../node_modules/.cache/node'),
}
