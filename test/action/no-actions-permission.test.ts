import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps } from './play.ts'
import { transcript } from './transcript.ts'

test('a token that may not read actions costs the steps alone, and one notice names the permission', async () => {
  const stage = await openStage()
  const token = stage.github.createToken({
    kind: 'integration',
    permissions: { actions: 'none', contents: 'read' },
  })
  const played = await stage.play({ token })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/no-actions-permission.yml')
  expect(stage.run.status).toBe('SUCCESS')
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
