import { SECRET } from './load/webhooks.ts'

/** By default, GitHub is unreachable. Intake still works, so only intake affects the measurement. */
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
