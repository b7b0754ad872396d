import { SECRET } from './load/webhooks.ts'

/** By default GitHub is out of reach, as in an outage: intake goes on, and nothing else takes part in the figures. */
export function relayEnvironment(database: string, github = 'http://127.0.0.1:9'): Record<string, string> {
  return {
    PORT_CLIENT_SECRET: SECRET,
    GITHUB_TOKEN: 'bench',
    GITHUB_API_URL: github,
    RELAY_REPOSITORY: 'acme/shop',
    RELAY_DATABASE: database,
    HOST: '127.0.0.1',
    PORT: '0',
    // Otherwise 20 at once, and then as many a minute as GitHub advises.
    RELAY_DISPATCH_RATE: '0',
    NODE_ENV: 'production',
  }
}
