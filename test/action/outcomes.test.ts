import { expect, test } from 'vitest'
import { rerunWorkflow } from '../../tools/simulator/runner/workflow.ts'
import { action, openStage, ownSteps, payloadFor } from './play.ts'
import { transcript } from './transcript.ts'

test('a job that succeeds gives every Port input as an output, and ends the Port run as SUCCESS', async () => {
  const stage = await openStage()
  const played = await stage.play()
  await expect(transcript(played, stage, { whole: true })).toMatchFileSnapshot('transcripts/success.yml')
  expect(stage.run.status).toBe('SUCCESS')
  const { main, post } = ownSteps(played.jobs[0]!)
  for (const step of [main, post]) expect(step.log).not.toContain(stage.port.clientSecret)
})

const STEPS = `
- { name: Build image, run: echo building }
- { name: Deploy, run: exit 3 }
- { name: Notify, run: echo never }
`

test('a job that fails ends the Port run as FAILURE, and shows which step failed and which were skipped', async () => {
  const stage = await openStage()
  const played = await stage.play({ steps: STEPS })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/failure.yml')
  expect(stage.run.status).toBe('FAILURE')
})

test('a job that is cancelled ends the Port run as FAILURE with the label Cancelled', async () => {
  const stage = await openStage()
  const played = await stage.play({
    steps: '- { name: Deploy, run: echo deploying && sleep 60 }',
    cancelAt: 'Deploy',
    cancelGraceMs: 100,
  })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/cancel.yml')
  expect(stage.run).toMatchObject({ status: 'FAILURE', statusLabel: 'Cancelled' })
})

test('a Port run that somebody ends while the job runs gets no report more, and the job stays green', async () => {
  const stage = await openStage()
  const played = await stage.play({
    onStep: ({ step }) => {
      if (step.name === 'Build image' && step.status === 'completed')
        stage.port.endRun(stage.run.id, 'FAILURE')
    },
  })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/ended-by-hand.yml')
  expect(stage.run.status).toBe('FAILURE')
})

test('legs of a matrix show progress, and a last job that needs them ends the Port run', async () => {
  const stage = await openStage()
  const played = await stage.play({
    yaml: `
on: { repository_dispatch: { types: [deploy_service] } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    strategy: { fail-fast: false, matrix: { region: [eu, us] } }
    steps:${action({ report: 'updates', 'status-label': 'Deploying' })}
      - { run: 'test "$REGION" = eu', env: { REGION: "\${{ matrix.region }}" } }
  report:
    needs: deploy
    if: always()
    runs-on: ubuntu-latest
    steps:${action({ needs: '${{ toJSON(needs) }}' })}
`,
  })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/matrix-FAILURE.yml')
  expect(stage.run.status).toBe('FAILURE')
})

test('a re-run after the Port run has ended gives the outputs, and is not reported', async () => {
  const stage = await openStage()
  const first = await stage.play()
  stage.port.clearRequests()
  stage.github.clearRequests()
  const second = await rerunWorkflow(first)
  await expect(transcript(second, stage)).toMatchFileSnapshot('transcripts/rerun.yml')
  expect(ownSteps(second.jobs[0]!).main.outputs).toEqual(ownSteps(first.jobs[0]!).main.outputs)
})

test('a re-run while the Port run is still in progress reports it, with the link to its own attempt', async () => {
  const stage = await openStage()
  const first = await stage.play({ with: { report: 'updates' } })
  expect(stage.run.status).toBe('IN_PROGRESS')
  stage.port.clearRequests()
  stage.github.clearRequests()
  const second = await rerunWorkflow(first)
  await expect(transcript(second, stage)).toMatchFileSnapshot('transcripts/rerun-in-progress.yml')
  expect(stage.run.link).toEqual([stage.runUrl(2)])
})

const ID = 'wfnr_Zy98Xw76Vu54Ts32'

test('a node run of a Port workflow gets link, log and result, its output whole each time', async () => {
  const stage = await openStage()
  stage.port.createNodeRun({ id: ID })
  const played = await stage.play({ clientPayload: payloadFor(ID), steps: '- { name: Deploy, run: exit 1 }' })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/node-run.yml')
  expect(stage.port.nodeRun(ID)).toMatchObject({ status: 'COMPLETED', result: 'FAILED' })
})
