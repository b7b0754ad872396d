import { expect, test } from 'vitest'
import { startSystem } from '../support/system.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const REPOSITORIES = 10
/** One delivery every two seconds for ten minutes. */
const DELIVERIES = 300

test('a token revoked for ten minutes under load fails no delivery; all are dispatched in order once it is renewed', async () => {
  const system = await startSystem({ startTimeout: 60 * MINUTE, runTimeout: 24 * 60 * MINUTE })
  const repositories = Array.from({ length: REPOSITORIES }, (_, i) => `acme/shop-${i}`)
  for (const repository of repositories) system.github.addRepository(repository)
  system.github.fail({
    status: 401,
    body: { message: 'Bad credentials' },
    times: Number.POSITIVE_INFINITY,
  })
  const runIds: string[] = []
  for (let i = 0; i < DELIVERIES; i++) {
    const runId = `r_${String(i).padStart(16, '0')}`
    await system.accept(runId, repositories[i % REPOSITORIES])
    runIds.push(runId)
    await system.pass(2 * SECOND)
    await system.notifyWaiting()
  }
  expect(system.github.dispatches).toEqual([])
  expect(await system.store.list({ state: 'queued' }, { limit: 1_000 })).toHaveLength(DELIVERIES)

  system.github.clearFailures()
  await system.pass(5 * MINUTE)
  expect(await system.store.list({ state: 'failed' }, { limit: 1_000 })).toEqual([])
  for (const [i, repository] of repositories.entries()) {
    const dispatched = system.github.dispatches.filter(each => each.repository === repository)
    const accepted = runIds.filter((_, n) => n % REPOSITORIES === i)
    expect(dispatched.map(({ clientPayload }) => clientPayload.run_id)).toEqual(accepted)
  }
  for (const runId of runIds) {
    const lines = system.port.run(runId).logs.flatMap(({ message }) => message.split('\n'))
    expect(lines.filter(line => line.includes('GitHub rejects GITHUB_TOKEN'))).toHaveLength(1)
  }
})
