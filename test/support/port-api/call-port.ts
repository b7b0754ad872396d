import type { PortApi } from '../../../tools/simulator/port/state.ts'

/** Port's response, with the type that the tests expect. */
type Response = {
  accessToken: string
  run: Record<string, unknown>
  runLogs: { message: string }[]
}

/** Calls Port's API. A body that is a string is sent unchanged, other bodies are sent as JSON. */
export async function callPort(api: PortApi, method: string, path: string, body?: unknown, token?: string) {
  const response = await fetch(api.url + path, {
    method,
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body: typeof body === 'string' || body === undefined ? body : JSON.stringify(body),
  })
  return { status: response.status, headers: response.headers, body: (await response.json()) as Response }
}

export async function mintToken(api: PortApi): Promise<string> {
  const { clientId, clientSecret } = api
  return (await callPort(api, 'POST', '/v1/auth/access_token', { clientId, clientSecret })).body.accessToken
}
