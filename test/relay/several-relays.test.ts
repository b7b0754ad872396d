import { createHmac } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { startPortApi } from '../../tools/simulator/port/port.ts'
import { openRelayHere, relayEnv } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { newDatabase } from '../support/shared-postgres.ts'

const WEBHOOK_SECRET = 'a secret of the webhook'
const DELIVERIES = 30

async function openServices() {
  const [port, github] = await Promise.all([startPortApi(), startGitHubApi()])
  onTestFinished(async () => {
    await Promise.all([port.close(), github.close()])
  })
  github.addRepository('acme/shop')
  const env = relayEnv({
    PORT_CLIENT_ID: port.clientId,
    PORT_CLIENT_SECRET: port.clientSecret,
    PORT_API_URL: port.url,
    GITHUB_API_URL: github.url,
    GITHUB_TOKEN: github.token,
    GITHUB_WEBHOOK_SECRET: WEBHOOK_SECRET,
    RELAY_DISPATCH_RATE: '0',
  })
  return { port, github, env }
}

test('with three relays on PostgreSQL, a result from a GitHub webhook is sent to Port within seconds', async () => {
  const { port, github, env } = await openServices()
  const RELAY_DATABASE = await newDatabase()
  const relays = await Promise.all([1, 2, 3].map(() => openRelayHere({ ...env, RELAY_DATABASE })))
  const ids = Array.from(
    { length: DELIVERIES },
    (_, n) => port.createRun({ id: `r_A1b2C3d4E5f6G7${n + 10}` }).id,
  )
  for (const [n, id] of ids.entries()) {
    await send(relays[n % 3]!.url, { body: { run: { id }, inputs: {} }, secret: port.clientSecret })
  }
  await until(
    () => ids.every(id => port.run(id).statusLabel === 'Waiting for GitHub'),
    'all deliveries are dispatched',
    30_000,
  )

  const tookMs: number[] = []
  for (const [n, id] of ids.entries()) {
    const run = github.createRun({ repository: 'acme/shop', displayTitle: `port_action ${id}` })
    github.setRun(run.id, { status: 'completed', conclusion: 'success' })
    const body = JSON.stringify({
      action: 'completed',
      repository: { full_name: 'acme/shop' },
      workflow_run: {
        ...{ id: run.id, run_attempt: 1, event: 'repository_dispatch', display_title: run.displayTitle },
        ...{ status: 'completed', conclusion: 'success', html_url: 'https://github.example/run' },
        ...{ created_at: run.createdAt, updated_at: run.updatedAt },
      },
    })
    const began = performance.now()
    const response = await fetch(`${relays[(n + 1) % 3]!.url}/github`, {
      method: 'POST',
      body,
      headers: {
        'x-github-event': 'workflow_run',
        'x-hub-signature-256': `sha256=${createHmac('sha256', WEBHOOK_SECRET).update(body).digest('hex')}`,
      },
    })
    expect(await response.json()).toEqual({ scheduled: 1 })
    void until(() => port.run(id).status !== 'IN_PROGRESS', 'Port is updated', 60_000).then(() =>
      tookMs.push(performance.now() - began),
    )
    await sleep(20)
  }
  await until(() => tookMs.length === DELIVERIES, 'Port has all results', 60_000)
  expect(ids.map(id => port.run(id).status)).toEqual(ids.map(() => 'SUCCESS'))
  const p95 = tookMs.sort((a, b) => a - b)[Math.floor(DELIVERIES * 0.95)] as number
  console.log(`three relays: Port had a result after ${Math.round(p95)} ms (p95)`)
  // The goal is 3 s. This limit allows for a busy machine, and is shorter than the wait for the next poll.
  expect(p95).toBeLessThan(10_000)
})
