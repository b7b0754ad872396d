import { onTestFinished } from 'vitest'
import { createPortClient, type PortClientOptions, PortError } from '../port/client/client.ts'
import type { LogLine } from '../port/types.ts'
import { type PortApi, startPortApi } from '../simulator/port/port.ts'
import type { PortApiOptions } from '../simulator/port/state.ts'

/** Opens the fake Port and a client for one test. */
export async function openPort(options: PortApiOptions = {}, more: Partial<PortClientOptions> = {}) {
  const port = await startPortApi(options)
  onTestFinished(() => port.close())
  const { clientId, clientSecret } = port
  const client = createPortClient({ apiUrl: `${port.url}/`, clientId, clientSecret, ...more })
  return { port, client }
}

export const calls = (port: PortApi) => port.requests.map(({ method, path }) => `${method} ${path}`)
export const info = (message: string): LogLine => ({ level: 'INFO', message })

export async function failure(promise: Promise<unknown>): Promise<PortError> {
  const error = await promise.catch((reason: unknown) => reason)
  if (!(error instanceof PortError)) throw new Error(`No PortError: ${error}`)
  return error
}

/** Opens a fake Port that returns this response to every request except token requests. */
export function fakePort(response: unknown, status = 200) {
  const fetch: PortClientOptions['fetch'] = async url => {
    const isToken = url.endsWith('/access_token') && typeof response !== 'string'
    const body = isToken ? { accessToken: 't', expiresIn: 10_800 } : response
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    return { status, headers: { get: () => null }, text: async () => text }
  }
  const credentials = { clientId: 'id', clientSecret: 'secret' }
  return { client: createPortClient({ apiUrl: 'https://api.port.io', ...credentials, fetch }) }
}
