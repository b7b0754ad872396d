import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { until } from '../../simulator/http-server.ts'
import { openRelayHere, relayEnv } from '../support/relay.ts'
import { sendRunWebhook } from '../support/run-webhook.ts'
import { send } from '../support/send.ts'
import { startServices } from '../support/services.ts'
import { newDatabase } from '../support/shared-postgres.ts'
import { startSystem } from '../support/system.ts'

const WEBHOOK_SECRET = 'a secret of the webhook'
const DELIVERIES = 12

test('with three relays on PostgreSQL, any of them sends the result from a GitHub webhook to Port', async () => {
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

  for (const [n, id] of ids.entries()) {
    const run = github.createRun({ repository: 'acme/shop', displayTitle: `port_action ${id}` })
    github.setRun(run.id, { status: 'completed', conclusion: 'success' })
    const url = relays[(n + 1) % 3]!.url
    expect(await sendRunWebhook(url, run, { github, secret: WEBHOOK_SECRET })).toEqual({ scheduled: 1 })
  }
  await until(() => ids.every(id => port.run(id).status === 'SUCCESS'), 'Port has all results', 60_000)
})

test('two spellings of a repository share a queue, so the second delivery waits for the first', async () => {
  const { github, env } = await startServices()
  github.addRepository('acme/shop')
  const more = { RELAY_ALLOWED_REPOSITORIES: 'Acme/*', RELAY_DISPATCH_RATE: '0' }
  const relay = await openRelayHere(relayEnv({ ...env, ...more }))
  github.fail({ delayMs: 600, takesEffect: true, status: 204, body: '' })
  for (const [n, repository] of ['Acme/Shop', 'acme/shop', 'ACME/SHOP'].entries()) {
    const body = { run: { id: `r_${n}` }, action: { identifier: 'go' }, inputs: {}, github: { repository } }
    expect(await send(relay.url, { body })).toMatchObject({ status: 202, body: { repository: 'acme/shop' } })
    await until(() => github.requests.length > 0, 'GitHub receives the first dispatch, and responds slowly')
  }
  await sleep(200)
  expect(github.requests).toHaveLength(1)
  await until(() => github.dispatches.length === 3, 'all deliveries are dispatched')
  expect(github.dispatches.map(each => each.clientPayload.run_id)).toEqual(['r_0', 'r_1', 'r_2'])
})

test('if GitHub responds with 500 to one payload, Port shows what each delivery waits for, and a cancellation moves the queue', async () => {
  const system = await startSystem({ actions: 'write', startTimeout: 600_000, runTimeout: 86_400_000 })
  const { github, port } = system
  const isPoisoned = ({ body }: { body?: unknown }) => JSON.stringify(body ?? '').includes('"r_0"')
  github.fail({ match: isPoisoned, status: 500, times: Number.POSITIVE_INFINITY })
  const ids: string[] = []
  for (let n = 0; n < 6; n++) ids.push(await system.accept(`r_${n}`))
  /** The label and the log lines that Port shows for each delivery. */
  const shown = () =>
    ids.map((_, n) => {
      const { statusLabel, logs } = port.run(`r_${n}`)
      return [statusLabel, ...logs.map(({ message }) => message.replace(/ \(delivery \w+\)/, ''))]
    })
  const pass = async (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      await system.pass(1_000)
      await system.notifyWaiting()
      await system.send()
    }
  }
  await pass(29)
  expect(shown()).toEqual(ids.map(() => [undefined]))
  await pass(100)
  const error = 'GitHub responded with 500 to the dispatch to acme/shop; searching for the workflow run'
  expect(shown()).toEqual([
    ['Waiting for GitHub', `Waiting for GitHub: ${error}.`],
    ...ids
      .slice(1)
      .map(() => [
        'Waiting for an earlier run of acme/shop',
        'Waiting for an earlier run of acme/shop: r_0.',
      ]),
  ])
  const { apply } = system.engine()
  await apply(await system.delivery(ids[0]!), { type: 'cancelRequested', by: 'port' })
  await pass(1)
  expect(github.dispatches.map(each => each.clientPayload.run_id)).toEqual([1, 2, 3, 4, 5].map(n => `r_${n}`))
  expect(shown()[0]!.at(-1)).toContain('The relay searches for the run to cancel it')
})
