import { expect, onTestFinished, test } from 'vitest'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { startPortApi } from '../../tools/simulator/port/port.ts'
import { openRelayHere, relayEnv } from '../support/relay.ts'
import { send } from '../support/send.ts'

interface Ready {
  ok: boolean
  checks: Record<'database' | 'github' | 'port', { ok: boolean; detail?: string }>
}

async function open(env: Record<string, string> = {}) {
  const [port, github] = await Promise.all([startPortApi(), startGitHubApi()])
  onTestFinished(async () => {
    await Promise.all([port.close(), github.close()])
  })
  const relay = await openRelayHere(
    relayEnv({
      ...{ PORT_CLIENT_ID: port.clientId, PORT_CLIENT_SECRET: port.clientSecret, PORT_API_URL: port.url },
      ...{ GITHUB_API_URL: github.url, GITHUB_TOKEN: github.token },
      ...env,
    }),
  )
  const ready = async () => {
    const response = await fetch(`${relay.url}/readyz`)
    return { status: response.status, ...((await response.json()) as Ready) }
  }
  return { relay, ready }
}

test('credentials that are accepted: reading /readyz has them checked', async () => {
  const { ready } = await open()
  expect((await ready()).status).toBe(200)
  await until(async () => {
    const { checks } = await ready()
    return !checks.github.detail && !checks.port.detail
  }, 'both were checked')
  expect(await ready()).toEqual({
    status: 200,
    ok: true,
    checks: { database: { ok: true }, github: { ok: true }, port: { ok: true } },
  })
})

test('invented credentials: /readyz names both with what to change, and stays 200, since webhooks are accepted', async () => {
  const secret = 'invented-secret-of-port'
  const { relay, ready } = await open({ GITHUB_TOKEN: 'github_pat_invented', PORT_CLIENT_SECRET: secret })
  await until(async () => {
    const { checks } = await ready()
    return !checks.github.ok && !checks.port.ok
  }, 'both are rejected')
  const { status, ok, checks } = await ready()
  expect({ status, ok, database: checks.database }).toEqual({ status: 200, ok: true, database: { ok: true } })
  expect(checks.github.detail).toContain('GITHUB_TOKEN')
  expect(checks.port.detail).toContain('PORT_CLIENT_SECRET')
  expect((await send(relay.url, { secret, body: { n: 1 } })).status).toBe(202)
})
