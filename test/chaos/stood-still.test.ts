import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { until } from '../../tools/simulator/http-server.ts'
import { send } from '../support/send.ts'
import { withSystem } from './system.ts'

/** Longer than any request takes, and longer than a busy machine delays a timer. */
const STOOD_STILL_MS = 17_000

test("a relay that was suspended during a dispatch reads the response after resuming and doesn't dispatch again", async () => {
  // No run is visible, so the response is the relay's only evidence.
  await withSystem({ connected: true, runs: 'none' }, async ({ relay, port, github }) => {
    await relay.start()
    const { id } = port.createRun({ id: 'r_1' })
    github.fail({ match: ({ method }) => method === 'POST', takesEffect: true, delayMs: 500 })
    await send(relay.url, { body: { run: { id }, inputs: {} } })
    await until(() => github.dispatches.length === 1, 'GitHub receives the dispatch')
    process.kill(relay.pid, 'SIGSTOP')
    await sleep(STOOD_STILL_MS).finally(() => process.kill(relay.pid, 'SIGCONT'))
    await until(() => port.run(id).statusLabel === 'Waiting for GitHub', 'Port shows "Waiting for GitHub"')
    expect(github.requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
  })
})
