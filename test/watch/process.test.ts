import { Webhooks } from '@octokit/webhooks'
import { expect, onTestFinished, test } from 'vitest'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { startPortApi } from '../../tools/simulator/port/port.ts'
import { relayEnv, startRelay } from '../support/relay.ts'
import { send } from '../support/send.ts'

const SECRET = 'a secret of the webhook'
const RUN = 'r_A1b2C3d4E5f6G7h8'

test('a relay as it runs: GitHub says that the workflow run has ended, and Port hears it within 2 s', async () => {
  const [port, github] = await Promise.all([startPortApi(), startGitHubApi()])
  onTestFinished(async () => {
    await Promise.all([port.close(), github.close()])
  })
  github.addRepository('acme/shop')
  port.createRun({ id: RUN })
  const relay = await startRelay(
    relayEnv({
      PORT_CLIENT_ID: port.clientId,
      PORT_CLIENT_SECRET: port.clientSecret,
      PORT_API_URL: port.url,
      GITHUB_API_URL: github.url,
      GITHUB_TOKEN: github.token,
      GITHUB_WEBHOOK_SECRET: SECRET,
    }),
  )
  await send(relay.url, { body: { run: { id: RUN }, inputs: {} }, secret: port.clientSecret })
  await until(() => port.run(RUN).statusLabel === 'Waiting for GitHub', 'it is dispatched')
  const run = github.createRun({ repository: 'acme/shop', displayTitle: `port_action ${RUN}` })
  github.setJobs(run.id, 1, [{ name: 'deploy', status: 'completed', conclusion: 'failure', steps: [] }])
  github.setRun(run.id, { status: 'completed', conclusion: 'failure' })

  const body = JSON.stringify({
    action: 'completed',
    repository: { full_name: 'acme/shop' },
    workflow_run: {
      id: run.id,
      run_attempt: 1,
      event: 'repository_dispatch',
      display_title: run.displayTitle,
      status: 'completed',
      conclusion: 'failure',
      html_url: `${github.serverUrl}/acme/shop/actions/runs/${run.id}`,
      created_at: run.createdAt,
      updated_at: run.updatedAt,
    },
  })
  const signature = await new Webhooks({ secret: SECRET }).sign(body)
  const sentAt = Date.now()
  const response = await fetch(`${relay.url}/github`, {
    method: 'POST',
    body,
    headers: { 'x-github-event': 'workflow_run', 'x-hub-signature-256': signature },
  })
  expect([response.status, await response.json()]).toEqual([202, { scheduled: 1 }])
  await until(() => port.run(RUN).status !== 'IN_PROGRESS', 'Port is updated', 10_000)
  // Known within 2 s, and said at once; a little is left for a busy machine.
  expect(Date.now() - sentAt).toBeLessThan(4_000)
  expect(port.run(RUN)).toMatchObject({
    status: 'FAILURE',
    statusLabel: 'Failed',
    link: [`${github.serverUrl}/acme/shop/actions/runs/${run.id}`],
    externalRunId: String(run.id),
  })
  expect((await fetch(`${relay.url}/github`)).status).toBe(405)
  expect(await relay.stop()).toBe(0)
})

test('without GITHUB_WEBHOOK_SECRET, POST /github says what to set', async () => {
  const relay = await startRelay(relayEnv())
  const response = await fetch(`${relay.url}/github`, { method: 'POST', body: '{}' })
  expect(response.status).toBe(404)
  expect(((await response.json()) as { detail: string }).detail).toMatch(/GITHUB_WEBHOOK_SECRET/)
})
