import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { until } from '../../tools/simulator/http-server.ts'
import { openRelayHere, relayEnv } from '../support/relay.ts'
import { sendRunWebhook } from '../support/run-webhook.ts'
import { send } from '../support/send.ts'
import { startServices } from '../support/services.ts'
import { newDatabase } from '../support/shared-postgres.ts'

const WEBHOOK_SECRET = 'a secret of the webhook'
const DELIVERIES = 30

test('with three relays on PostgreSQL, a result from a GitHub webhook is sent to Port within seconds', async () => {
  const { port, github, env } = await startServices()
  github.addRepository('acme/shop')
  const shared = relayEnv({
    ...env,
    ...{ GITHUB_WEBHOOK_SECRET: WEBHOOK_SECRET, RELAY_DISPATCH_RATE: '0' },
    RELAY_DATABASE: await newDatabase(),
  })
  const relays = await Promise.all([1, 2, 3].map(() => openRelayHere(shared)))
  const ids = Array.from(
    { length: DELIVERIES },
    (_, n) => port.createRun({ id: `r_A1b2C3d4E5f6G7${n + 10}` }).id,
  )
  for (const [n, id] of ids.entries()) {
    await send(relays[n % 3]!.url, { body: { run: { id }, inputs: {} } })
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
    const began = performance.now()
    const url = relays[(n + 1) % 3]!.url
    expect(await sendRunWebhook(url, run, { github, secret: WEBHOOK_SECRET })).toEqual({ scheduled: 1 })
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
