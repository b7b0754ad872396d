import type { PortApi } from '../../../tools/simulator/port/state.ts'

/** Whatever Port answers, read by the tests as they expect it. */
type Response = {
  accessToken: string
  run: Record<string, unknown>
  runLogs: { message: string }[]
}

/** One plain call of Port's API; a body that is a text is sent as it is. */
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
