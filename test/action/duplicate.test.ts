import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps, told } from './play.ts'

const OTHER = '16000000007'

test('a second workflow run for the same Port run stops before any step of its author runs', async () => {
  const { play, port, run } = await openStage()
  run.externalRunId = OTHER
  const played = await play()

  expect(played.conclusion).toBe('failure')
  const job = played.jobs[0]!
  expect(job.steps.find(step => step.name === 'Build image')!.outcome).toBe('skipped')
  const { main, post } = ownSteps(job)
  expect(annotations(main)).toEqual([
    `error: Port's run ${run.id} already runs in another workflow run, ${OTHER}; this one is 16000000042. It stops ` +
      'here, so that nothing is done twice (on-duplicate: fail). See docs/errors.md#duplicates',
  ])
  expect(post.stdout).toBe('')
  expect(port.requests).toHaveLength(2)
  expect(run.status).toBe('IN_PROGRESS')
})

test('with on-duplicate: continue it goes on, and tells Port nothing', async () => {
  const { play, port, run } = await openStage()
  run.externalRunId = OTHER
  const played = await play({ with: { 'on-duplicate': 'continue' } })

  expect(played.conclusion).toBe('success')
  const { main, post } = ownSteps(played.jobs[0]!)
  expect(annotations(main)).toEqual([
    `warning: Port's run ${run.id} already runs in another workflow run, ${OTHER}; this one is 16000000042. It goes ` +
      'on, and Port is told nothing of it (on-duplicate: continue). See docs/errors.md#duplicates',
  ])
  expect(main.outputs.version).toBe('1.4.2')
  expect(post.stdout).toBe('')
  expect(told(port)).toHaveLength(2)
})

test("an external run id that is no run of GitHub's is a person's own, and no duplicate", async () => {
  const { play, run } = await openStage()
  run.externalRunId = 'build-7'
  expect((await play()).conclusion).toBe('success')
  expect(run).toMatchObject({ status: 'SUCCESS', externalRunId: '16000000042' })
})
