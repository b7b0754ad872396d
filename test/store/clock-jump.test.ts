import { randomBytes } from 'node:crypto'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { relayEnv, startRelay, temporaryFolder } from '../support/relay.ts'
import { send } from '../support/send.ts'
import { newDatabase } from '../support/shared-postgres.ts'

const DELIVERIES = 200
const REPOSITORIES = 20
const MINUTE_MS = 60_000

test('two relays on one PostgreSQL, the clock of one 2 minutes off and jumping: each delivery is dispatched once', async () => {
  const github = await startGitHubApi({ autoRun: true })
  onTestFinished(() => github.close())
  const repositories = Array.from({ length: REPOSITORIES }, (_, i) => `acme/shop-${i}`)
  for (const repository of repositories) github.addRepository(repository)
  // Slow enough that each dispatch is under way while clocks jump.
  github.fail({
    match: ({ method }) => method === 'POST',
    times: Number.POSITIVE_INFINITY,
    delayMs: 300,
    takesEffect: true,
  })

  const clock = jumpingClock()
  clock.set(2 * MINUTE_MS)
  const env = relayEnv({
    GITHUB_API_URL: github.url,
    GITHUB_TOKEN: github.token,
    RELAY_ALLOWED_REPOSITORIES: 'acme/*',
    RELAY_DISPATCH_RATE: '0',
    RELAY_DATABASE: await newDatabase(),
  })
  const preload = ['--import', join(import.meta.dirname, '../support/shift-clock.ts')]
  const relays = await Promise.all([
    startRelay(env),
    startRelay({ ...env, CLOCK_OFFSET_FILE: clock.file }, preload),
  ])
  const [started] = relays[1].log()
  expect(Math.abs(Number(started?.time) - Date.now())).toBeGreaterThan(MINUTE_MS)
  let over = false
  const jumping = (async () => {
    for (let i = 0; !over; i++) {
      clock.set([-2, 2, 0, 10, -10][i % 5]! * MINUTE_MS)
      await sleep(500)
    }
  })()
  const ids = Array.from({ length: DELIVERIES }, () => `r_${randomBytes(8).toString('hex')}`)
  await Promise.all(
    ids.map(async (id, i) => {
      await sleep(i * 25)
      const body = {
        run: { id },
        action: { identifier: 'deploy' },
        github: { repository: repositories[i % REPOSITORIES]! },
      }
      // The wrong clock refuses signatures as too old, and the sender then tries the other relay.
      for (let relay = i; ; relay++) {
        const { status } = await send(relays[relay % 2]!.url, { body })
        if (status === 202) return
      }
    }),
  )
  const dispatched = () => github.dispatches.map(({ clientPayload }) => String(clientPayload.run_id))
  await until(() => new Set(dispatched()).size === DELIVERIES, 'all are dispatched', 120_000)
  over = true
  await jumping
  // What was left claimed would be sent again when its lease has expired by a wrong clock.
  clock.set(10 * MINUTE_MS)
  await sleep(3_000)
  for (const relay of relays) {
    expect(relay.log().filter(({ msg }) => msg === 'GitHub accepted the dispatch').length).toBeGreaterThan(0)
  }
  expect(dispatched().toSorted()).toEqual(ids.toSorted())
}, 240_000)

function jumpingClock() {
  const file = join(temporaryFolder(), 'offset')
  return {
    file,
    set(offset: number) {
      // The relay reads it at any moment: never half of it.
      writeFileSync(`${file}.next`, String(offset))
      renameSync(`${file}.next`, file)
    },
  }
}
