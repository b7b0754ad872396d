import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps, told, toldAtEnd, toldAtStart } from './play.ts'

const STEPS = `
- { name: Build image, run: echo building }
- { name: Deploy, run: exit 3 }
- { name: Notify, run: echo never }
`

test('a job that fails ends the Port run as FAILURE, and shows which step failed and which were skipped', async () => {
  const stage = await openStage()
  const played = await stage.play({ steps: STEPS })

  expect(played.conclusion).toBe('failure')
  expect(annotations(ownSteps(played.jobs[0]!).post)).toEqual([])
  expect(told(stage.port)).toEqual([
    ...toldAtStart(stage),
    ...toldAtEnd(stage, {
      status: 'FAILURE',
      label: 'Failed',
      steps: ['✓ Build image (N s)', '✗ Deploy: failure (N s)', '– Notify: skipped'],
      job: '✗ Job deploy: failure after N s',
    }),
  ])
  expect(stage.run.status).toBe('FAILURE')
})
