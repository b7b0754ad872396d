import { expect, test } from 'vitest'
import { action, annotations, openStage } from './play.ts'

test('the action used twice in a job gives its outputs twice, and reports once', async () => {
  const { play, port, run } = await openStage()
  const played = await play({
    yaml: `
on: { repository_dispatch: { types: [deploy_service] } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:${action()}
      - run: echo between >> "$PORT_LOG"${action({}, 'again')}
      - run: test "$A" = "$B"
        env:
          A: \${{ steps.port.outputs.payload }}
          B: \${{ steps.again.outputs.payload }}
`,
  })

  expect(played.conclusion).toBe('success')
  const again = played.jobs[0]!.steps.find(step => step.id === 'again' && step.kind === 'main')!
  expect(again.stdout).toContain('An earlier step of this job reports this run to Port.\n')
  expect(played.jobs[0]!.steps.flatMap(annotations)).toEqual([])
  expect(port.requests).toHaveLength(7)
  expect(run.logs.at(-1)!.message).toContain('\nbetween\n')
})

test('in a matrix, a warning says that the first leg to end ends the Port run', async () => {
  const { play } = await openStage()
  const played = await play({
    yaml: `
on: { repository_dispatch: { types: [deploy_service] } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    strategy: { matrix: { region: [eu] } }
    steps:${action()}
`,
  })
  const main = played.jobs[0]!.steps.find(step => step.kind === 'main')!
  expect(annotations(main)).toEqual([
    'warning: This job is a leg of a matrix, and the first leg to end ends the Port run: set report: workflow, or ' +
      'report: progress here and this action with report: job and needs in a last job. See docs/errors.md#matrix',
  ])
})
