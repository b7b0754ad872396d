import type { PortRun } from '../../simulator/port/port.ts'

/** The action run as the fake Port shows it, and the lines of its log. */
export async function readRun(
  url: string,
  access: { clientId: string; clientSecret: string },
  runId: string,
): Promise<{ run: PortRun; lines: string[] }> {
  const get = async <T>(path: string, init: RequestInit = {}): Promise<T> => {
    const response = await fetch(`${url}${path}`, init)
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as T
  }
  const { accessToken } = await get<{ accessToken: string }>('/v1/auth/access_token', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(access),
  })
  const headers = { authorization: `Bearer ${accessToken}` }
  const { run } = await get<{ run: PortRun }>(`/v1/actions/runs/${runId}`, { headers })
  const path = `/v1/actions/runs/${runId}/logs`
  const { runLogs } = await get<{ runLogs: { message: string }[] }>(path, { headers })
  return { run, lines: runLogs.flatMap(({ message }) => message.split('\n')) }
}
