import { expect, test } from 'vitest'
import { rerunWorkflow } from '../../simulator/runner/workflow.ts'
import { action, ownSteps, payloadFor, startSystem, workflow } from './play.ts'
import { transcript } from './transcript.ts'

test('a successful job sets an output for every Port input, and finishes the Port run as SUCCESS', async () => {
  const system = await startSystem()
  const simulated = await system.simulate()
  await expect(transcript(simulated, system, { whole: true })).toMatchFileSnapshot('transcripts/success.yml')
  expect(system.run.status).toBe('SUCCESS')
  const { main, post } = ownSteps(simulated.jobs[0]!)
  for (const step of [main, post]) expect(step.log).not.toContain(system.port.clientSecret)
})

const STEPS = `
- { name: Build image, run: echo building }
- { name: Deploy, run: exit 3 }
- { name: Notify, run: echo never }
`

test('a failed job finishes the Port run as FAILURE, and shows the failed step and the skipped steps', async () => {
  const system = await startSystem()
  const simulated = await system.simulate({ steps: STEPS })
  await expect(transcript(simulated, system)).toMatchFileSnapshot('transcripts/failure.yml')
  expect(ownSteps(simulated.jobs[0]!).post.summary).toBe(`${system.run.summary}\n`)
  expect(system.run.status).toBe('FAILURE')
})

test('a canceled job finishes the Port run as FAILURE with the label Canceled', async () => {
  const system = await startSystem()
  const simulated = await system.simulate({
    with: { live: 'false' },
    steps: '- { name: Deploy, run: echo deploying && sleep 60 }',
    cancelAt: 'Deploy',
    cancelGraceMs: 100,
  })
  await expect(transcript(simulated, system)).toMatchFileSnapshot('transcripts/cancel.yml')
  expect(system.run).toMatchObject({ status: 'FAILURE', statusLabel: 'Canceled' })
})

test('matrix jobs send status labels, and the job that needs them finishes the Port run', async () => {
  const system = await startSystem()
  const simulated = await system.simulate({
    yaml: `
on: { repository_dispatch: { types: [deploy_service] } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    strategy: { fail-fast: false, max-parallel: 1, matrix: { region: [eu, us] } }
    steps:${action({ report: 'updates', 'status-label': 'Deploying' })}
      - { run: 'test "$REGION" = eu', env: { REGION: "\${{ matrix.region }}" } }
  report:
    needs: deploy
    if: always()
    runs-on: ubuntu-latest
    steps:${action({ needs: '${{ toJSON(needs) }}' })}
`,
  })
  await expect(transcript(simulated, system)).toMatchFileSnapshot('transcripts/matrix-FAILURE.yml')
  expect(system.run.status).toBe('FAILURE')
})

test('a re-run after the Port run has finished sets the outputs, but reports nothing', async () => {
  const system = await startSystem()
  const first = await system.simulate()
  system.port.clearRequests()
  system.github.clearRequests()
  const second = await rerunWorkflow(first)
  await expect(transcript(second, system)).toMatchFileSnapshot('transcripts/rerun.yml')
  expect(ownSteps(second.jobs[0]!).main.outputs).toEqual(ownSteps(first.jobs[0]!).main.outputs)
})

const ID = 'wfnr_Zy98Xw76Vu54Ts32'

test('a node run gets its link, log, and result, and every update repeats all outputs', async () => {
  const system = await startSystem()
  system.port.createNodeRun({ id: ID })
  const simulated = await system.simulate({
    clientPayload: payloadFor(ID),
    steps: '- { name: Deploy, run: exit 1 }',
  })
  await expect(transcript(simulated, system)).toMatchFileSnapshot('transcripts/node-run.yml')
  expect(system.port.nodeRun(ID)).toMatchObject({ status: 'COMPLETED', result: 'FAILED' })
})

test('a job that uses the action twice sets the outputs twice, but reports once', async () => {
  const system = await startSystem()
  const simulated = await system.simulate({
    yaml: workflow(`${action({ live: 'false' })}
      - run: echo between >> "$PORT_LOG"${action({}, 'again')}
      - run: test "$A" = "$B"
        env:
          A: \${{ steps.port.outputs.payload }}
          B: \${{ steps.again.outputs.payload }}`),
  })
  await expect(transcript(simulated, system)).toMatchFileSnapshot('transcripts/twice.yml')
})
