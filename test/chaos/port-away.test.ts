import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { startPortApi } from '../../tools/simulator/port/port.ts'
import { relayEnv, startRelay } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { SECRET } from '../support/sign.ts'

const SCALE = 500
const HOUR_MS = 3_600_000
const DELIVERIES = 8

test(`Port is down for an hour, at ${SCALE} times the speed: the log counts each attempt in at most 100 lines`, async () => {
  const [port, github] = await Promise.all([
    startPortApi({ clientSecret: SECRET }),
    startGitHubApi({ autoRun: true }),
  ])
  onTestFinished(async () => void (await Promise.all([port.close(), github.close()])))
  for (let i = 0; i < DELIVERIES; i++) github.addRepository(`acme/shop-${i}`)
  const relay = await startRelay(
    relayEnv({
      ...{ PORT_CLIENT_ID: port.clientId, PORT_API_URL: port.url },
      ...{ GITHUB_API_URL: github.url, GITHUB_TOKEN: github.token, RELAY_ALLOWED_REPOSITORIES: 'acme/*' },
      ...{ RELAY_DISPATCH_RATE: '0', RELAY_START_TIMEOUT: '20h', RELAY_TOLERANCE: '20h' },
      CLOCK_SCALE: String(SCALE),
    }),
    ['--import', join(import.meta.dirname, '../support/scale-clock.ts')],
  )
  const runs = Array.from({ length: DELIVERIES }, (_, i) => port.createRun({ id: `r_${i}` }))
  await port.failures.down()
  for (const [i, { id }] of runs.entries()) {
    const path = `/webhook/acme/shop-${i}?event_type=deploy`
    expect((await send(relay.url, { path, body: { run: { id } } })).status).toBe(202)
  }
  const retries = () => relay.log().filter(({ msg }) => msg === 'a request to Port failed')
  const lasted = () => Number(retries().at(-1)?.time) - Number(retries()[0]?.time)
  await until(() => lasted() >= HOUR_MS, 'Port is down for an hour')
  // Each delivery also has its own lines. None of them is about the outage. At this speed, a request to
  // GitHub fails after 20 ms.
  const lines = relay
    .log()
    .filter(({ delivery, msg }) => delivery === undefined && msg !== 'a request to GitHub failed')
  expect(lines.length).toBeLessThanOrEqual(100)
  // The first error is logged immediately, each further one a minute after the previous one.
  expect(retries().length).toBeLessThanOrEqual(62)
  expect(retries()[0]).toMatchObject({ level: 40, count: 1, reason: 'connection refused (ECONNREFUSED)' })
  const counted = retries().reduce((sum, line) => sum + Number(line.count), 0)
  expect(counted).toBeGreaterThan(10 * DELIVERIES)

  await port.start()
  await until(() => runs.every(run => run.logs.length > 0), 'Port is updated')
  for (const run of runs) expect(run.logs[0]!.message).toMatch(/ "deploy" to acme\/shop-\d \(delivery /)
})
