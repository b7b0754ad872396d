import { expect, test } from 'vitest'
import type { GitHubRun } from '../support/github-api.ts'
import { iso, openStage, type Stage } from './stage.ts'

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
  await playStream({ count: 85, everyMs: 8_000, lagMs: 2_000, isWell: index => index % 3 > 0 })
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
  await stage.pass(90_000)
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

const statuses = (stage: Stage) => ['r_1', 'r_2'].map(id => stage.port.run(id).status)

test('a run that comes only after the next dispatch is still that of the first', async () => {
  const stage = await openStage({ startTimeout: 600_000 })
  await stage.dispatch('r_1')
  await stage.pass(70_000)
  await stage.dispatch('r_2')
  await stage.pass(2_000)
  const first = stage.run('deploy', { status: 'in_progress' })
  await stage.pass(18_000)
  const second = stage.run('deploy', { status: 'in_progress' })
  stage.end(first, 'success')
  await stage.pass(50_000)
  expect(statuses(stage)).toEqual(['SUCCESS', 'IN_PROGRESS'])
  stage.end(second, 'failure')
  await stage.pass(30_000)
  expect(statuses(stage)).toEqual(['SUCCESS', 'FAILURE'])
})

test('after a restart, a relay to which webhooks told one of two runs takes it for neither', async () => {
  const stage = await openStage({ actions: 'none', startTimeout: 600_000 })
  const ids = [await stage.dispatch('r_1')]
  await stage.pass(1_000)
  const first = stage.run('deploy', { status: 'in_progress' })
  ids.push(await stage.dispatch('r_2'))
  await stage.pass(1_000)
  const second = stage.run('deploy', { status: 'in_progress' })
  const tell = async (run: GitHubRun) => {
    for (const id of ids) await stage.webhook(id, run)
    await stage.pass(60_000)
  }
  await tell(first)
  await tell(second)
  stage.restart()
  stage.end(second, 'success')
  await tell(second)
  expect(statuses(stage)).toEqual(['IN_PROGRESS', 'IN_PROGRESS'])
  stage.end(first, 'failure')
  await tell(first)
  expect(stage.port.run('r_1').status).toBe('FAILURE')
})

test('of two workflows one names its run: what is left of the other is not taken for the next delivery', async () => {
  const stage = await openStage({ startTimeout: 600_000 })
  await stage.dispatch('r_1')
  stage.end(stage.run('deploy r_1', { workflowId: 1 }), 'success')
  stage.end(stage.run('deploy', { workflowId: 2 }), 'success')
  await stage.pass(3_000)
  await stage.dispatch('r_2')
  await stage.pass(15_000)
  expect(statuses(stage)).toEqual(['SUCCESS', 'IN_PROGRESS'])
  stage.end(stage.run('deploy r_2', { workflowId: 1 }), 'failure')
  await stage.pass(60_000)
  expect(statuses(stage)).toEqual(['SUCCESS', 'FAILURE'])
})
