import { expect, test } from 'vitest'
import { annotations, JOBS_PATH, openStage, ownSteps, REPOSITORY, withoutTimes } from './play.ts'

test('a token that may not read actions costs the steps alone, and one notice names the permission', async () => {
  const { play, run, github } = await openStage()
  const token = github.createToken({
    kind: 'integration',
    permissions: { actions: 'none', contents: 'read' },
  })
  const played = await play({ token })

  expect(played.conclusion).toBe('success')
  const { post } = ownSteps(played.jobs[0]!)
  const path = JOBS_PATH.split('?')[0]
  expect(annotations(post)).toEqual([
    `notice: Port is not shown the steps of this job: GitHub answered 403 to GET ${path}. Give the job "permissions: ` +
      'actions: read" (and leave github-token to its default). See docs/errors.md#steps',
  ])
  expect(path).toContain(REPOSITORY)
  expect(withoutTimes(run.logs.at(-1)!.message)).toBe('✓ Job deploy: success after N s')
  expect(run.status).toBe('SUCCESS')
})

test('GitHub being down costs the steps alone', async () => {
  const { play, run, github } = await openStage()
  const played = await play({
    onStep: ({ step }) => {
      if (step.kind === 'post' && step.status === 'in_progress') github.fail({ cut: 'before' })
    },
  })

  expect(annotations(ownSteps(played.jobs[0]!).post)).toEqual([
    expect.stringMatching(/^notice: Port is not shown the steps of this job: /),
  ])
  expect(run.status).toBe('SUCCESS')
})
