import { expect, test } from 'vitest'
import { openStage, told, toldAtEnd, toldAtStart } from './play.ts'

test('a job that is cancelled ends the Port run as FAILURE with the label Cancelled', async () => {
  const stage = await openStage()
  const played = await stage.play({
    steps: '- { name: Deploy, run: echo deploying && sleep 60 }',
    cancelAt: 'Deploy',
    cancelGraceMs: 100,
  })

  expect(played.conclusion).toBe('cancelled')
  expect(told(stage.port)).toEqual([
    ...toldAtStart(stage),
    ...toldAtEnd(stage, {
      status: 'FAILURE',
      label: 'Cancelled',
      steps: ['✗ Deploy: cancelled (N s)'],
      job: '✗ Job deploy: cancelled after N s',
    }),
  ])
  expect(stage.run).toMatchObject({ status: 'FAILURE', statusLabel: 'Cancelled' })
})
