import { SECRET } from './load/webhooks.ts'

const flags = ['--max-semi-space-size=8']

/** Starts the relay like `npm start` in a clone, from the second start on: the first start fills the cache. */
export const CLONE = {
  file: 'cli/main.ts',
  flags,
  env: { NODE_COMPILE_CACHE: 'node_modules/.cache/relay', MALLOC_ARENA_MAX: '2' },
}
export const NPX = { file: 'relay/dist/main.js', flags: [], env: {} }
export const IMAGE = { ...NPX, flags, env: { MALLOC_ARENA_MAX: '2' } }

/** By default, GitHub is unreachable, so that nothing but intake affects the measurement. */
export function relayEnvironment(database: string, github = 'http://127.0.0.1:9'): Record<string, string> {
  return {
    PORT_CLIENT_SECRET: SECRET,
    GITHUB_TOKEN: 'bench',
    GITHUB_API_URL: github,
    RELAY_REPOSITORY: 'acme/shop',
    RELAY_DATABASE: database,
    HOST: '127.0.0.1',
    PORT: '0',
    // The default limits bursts to 20 dispatches, and limits the rate per minute to GitHub's recommendation.
    RELAY_DISPATCH_RATE: '0',
    NODE_ENV: 'production',
  }
}
