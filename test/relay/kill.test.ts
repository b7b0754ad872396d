import { expect, onTestFinished, test } from 'vitest'
import { startGitHubApi } from '../../tools/simulator/github/github.ts'
import { until } from '../../tools/simulator/http-server.ts'
import { type Relay, relayEnv, startRelay } from '../support/relay.ts'
import { send } from '../support/send.ts'

const DELIVERIES = 2000
const CONNECTIONS = 64
const REPOSITORIES = 20
/** In the form of Port, by which a title is known to name a run. */
const runIdOf = (n: number) => `r_${String(n).padStart(16, '0')}`

test('2,000 deliveries at 64 connections, killed in the middle: whatever was answered is dispatched after a restart', async () => {
  const github = await startGitHubApi({ autoRun: true })
  onTestFinished(() => github.close())
  for (let i = 0; i < REPOSITORIES; i++) {
    github.addRepository(`acme/shop-${i}`, {
      workflows: [
        {
          path: '.github/workflows/deploy.yml',
          name: 'Deploy',
          eventTypes: ['port_action'],
          runName: payload => String(payload.run_id),
        },
      ],
    })
  }
  const env = relayEnv({
    GITHUB_API_URL: github.url,
    GITHUB_TOKEN: github.token,
    RELAY_ALLOWED_REPOSITORIES: 'acme/*',
    RELAY_REPOSITORY: '',
    RELAY_DISPATCH_RATE: '0',
    // A dispatch whose answer was lost is sent again when no run has appeared for so long.
    RELAY_START_TIMEOUT: '2s',
  })
  let relay = await startRelay(env)
  const answered = new Map<number, number>()
  let killed: Promise<void> | undefined

  /** 64 senders, until each delivery was sent once, or the relay is gone. */
  const sendAll = async (numbers: number[], to: Relay) => {
    const left = [...numbers]
    const sender = async () => {
      for (let n = left.shift(); n !== undefined && !killed; n = left.shift()) {
        const path = `/webhook/acme/shop-${n % REPOSITORIES}`
        const response = await send(to.url, { path, body: { port_context: { runId: runIdOf(n) }, n } }).catch(
          () => null,
        )
        if (!response) continue
        expect([200, 202]).toContain(response.status)
        answered.set(n, response.status)
        if (answered.size === DELIVERIES / 2) killed = to.kill()
      }
    }
    await Promise.all(Array.from({ length: CONNECTIONS }, sender))
  }

  await sendAll(
    Array.from({ length: DELIVERIES }, (_, i) => i),
    relay,
  )
  await killed
  const beforeKill = [...answered.keys()]
  const dispatchedBefore = github.dispatches.length
  expect(beforeKill.length).toBeGreaterThanOrEqual(DELIVERIES / 2)
  expect(beforeKill.length).toBeLessThan(DELIVERIES)
  expect(beforeKill.map(n => answered.get(n)).every(status => status === 202)).toBe(true)
  expect(dispatchedBefore).toBeLessThan(beforeKill.length)

  killed = undefined
  relay = await startRelay(env)
  const dispatched = () => new Set(github.dispatches.map(each => each.clientPayload.run_id))
  await until(
    () => {
      const done = dispatched()
      return beforeKill.every(n => done.has(runIdOf(n)))
    },
    'all that was answered is dispatched',
    60_000,
  )

  // Port, or a person, sends the others again; some of them had been written, though not answered.
  answered.clear()
  await sendAll(
    Array.from({ length: DELIVERIES }, (_, i) => i).filter(n => !beforeKill.includes(n)),
    {
      ...relay,
      kill: async () => {},
    },
  )
  await until(() => dispatched().size === DELIVERIES, 'all are dispatched', 60_000)
  expect(await relay.stop()).toBe(0)

  // Only what was on its way to GitHub when the relay was killed may have gone out twice: at most one delivery
  // of each repository, and even those are found by their run.
  expect(github.dispatches).toHaveLength(DELIVERIES)
}, 90_000)
