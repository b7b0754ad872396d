import { createPortClient } from '../../../port/client/port-client.ts'
import { type Check, compareClock, ok, TIMEOUT_MS } from './check.ts'

/** Gets a token with the client id and secret, and looks at Port's clock. */
export const port: Check = {
  name: 'port',
  async run({ config, clock, fetch }) {
    const { clientId, apiUrl } = config.port
    if (clientId === null) return []
    let date: string | null = null
    const client = createPortClient({
      ...config.port,
      clientId,
      clock,
      timeoutMs: TIMEOUT_MS,
      fetch: async (url, init) => {
        const response = await fetch(url, { ...init, redirect: 'manual' })
        date = response.headers.get('date')
        return response
      },
    })
    await client.authorize()
    const { tolerance } = config.webhook
    return [
      ok(`Port (${new URL(apiUrl).host}) accepts PORT_CLIENT_ID and PORT_CLIENT_SECRET.`),
      ...compareClock(
        "Port's",
        date,
        clock(),
        tolerance,
        `webhooks are refused beyond RELAY_TOLERANCE (${tolerance / 1000} s).`,
      ),
    ]
  },
}
