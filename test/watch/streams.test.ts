import { expect, test } from 'vitest'
import type { GitHubRun } from '../support/github-api.ts'
import { iso, openStage } from './stage.ts'

/** Runs whose titles are the event type, of deliveries that follow each other: nobody names one. */
async function playStream(given: {
  count: number
  everyMs: number
  lagMs: number
  isWell: (index: number) => boolean
}) {
  const { count, everyMs, lagMs, isWell } = given
  const stage = await openStage({ startTimeout: 600_000 })
  for (let i = 0; i < 150; i++)
    stage.run('other', { createdAt: iso(stage.now() - 3_600_000 + i), status: 'completed' })
  const live: { run: GitHubRun; index: number; endsAt: number }[] = []
  const endedAt: number[] = []
  const endDue = () => {
    for (; live[0] && live[0].endsAt <= stage.now(); live.shift()) {
      endedAt[live[0].index] = stage.now()
      stage.end(live[0].run, isWell(live[0].index) ? 'success' : 'failure')
    }
  }
  for (let index = 0; index < count; index++) {
    await stage.dispatch(`r_${index}`)
    const createdAt = iso(stage.now() + lagMs)
    live.push({
      run: stage.run('deploy', { status: 'in_progress', createdAt }),
      index,
      endsAt: stage.now() + 60_000,
    })
    await stage.pass(everyMs)
    endDue()
  }
  while (live.length > 0) {
    await stage.pass(1_000)
    endDue()
  }
  await stage.pass(120_000)
  const told = Array.from({ length: count }, (_, index) => stage.port.run(`r_${index}`).status)
  expect(told).toEqual(told.map((_, index) => (isWell(index) ? 'SUCCESS' : 'FAILURE')))
  const took = await Promise.all(
    told.map(async (_, index) => (await stage.delivery(`delivery-r_${index}`)).updatedAt - endedAt[index]!),
  )
  expect(Math.max(...took)).toBeLessThan(120_000)
}

test('each of a steady stream is told the end of its own run, also when no beginning is in sight', {
  timeout: 60_000,
}, async () => {
  await playStream({ count: 115, everyMs: 6_000, lagMs: 2_000, isWell: index => index % 3 > 0 })
})

test('each of a burst too, where all end alike, though it is longer than a page of the list', {
  timeout: 60_000,
}, async () => {
  await playStream({ count: 120, everyMs: 1_000, lagMs: 0, isWell: () => true })
})

test('one whose workflow came only later does not hold up the next', async () => {
  const stage = await openStage({ startTimeout: 600_000 })
  await stage.dispatch('r_1')
  await stage.pass(120_000)
  await stage.dispatch('r_2')
  await stage.pass(1_000)
  stage.end(stage.run('deploy'), 'success')
  await stage.pass(30_000)
  expect(stage.port.run('r_2').status).toBe('SUCCESS')
  expect(stage.port.run('r_1').status).toBe('IN_PROGRESS')
})

test('where only webhooks tell of a run with a plain title, its end is told', async () => {
  const stage = await openStage({ actions: 'none' })
  const id = await stage.dispatch('r_1')
  await stage.pass(6_000)
  const run = stage.run('deploy')
  await stage.webhook(id, run)
  await stage.pass(10_000)
  stage.end(run, 'success')
  await stage.webhook(id, run)
  await stage.pass(20_000)
  expect(stage.port.run('r_1').status).toBe('SUCCESS')
})
