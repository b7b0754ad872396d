import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import type { RunOptions } from '../../simulator/runner/types.ts'
import { runWorkflow } from '../../simulator/runner/workflow.ts'
import { temporaryFolder } from '../support/relay.ts'

const fixtures = join(import.meta.dirname, '../fixtures/simulator')
const clientPayload = {
  run_id: 'r_1234567890abcdef',
  action: 'deploy_service',
  port: { inputs: { version: 'v1.2.3', replicas: 3, ok: false, tags: ['a', 'b'] } },
}
const dispatch = {
  name: 'repository_dispatch',
  payload: { event_type: 'deploy_service', client_payload: clientPayload },
}

/** Runs a workflow with one job that has these steps, as if the relay had dispatched it. */
async function simulateSteps(steps: string, options: Partial<RunOptions> = {}, more = '') {
  const on = 'repository_dispatch: { types: [deploy_service] }'
  const indented = steps.replaceAll('\n', '\n      ')
  const { jobs } = await runWorkflow({
    yaml: `name: Deploy\non: { ${on} }\njobs:\n  deploy:\n    runs-on: ubuntu-latest${more}\n    steps:\n      ${indented}`,
    event: dispatch,
    repository: 'acme/shop',
    repositoryRoot: fixtures,
    cancelGraceMs: 200,
    ...options,
  })
  const job = jobs[0]!
  return { job, step: (name: string) => job.steps.find(step => step.name === name)! }
}

function isRunning(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false
  return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
}

it('runs steps in parallel: background, wait, wait-all, cancel, and parallel', async () => {
  const meet = (own: string, other: string) =>
    `touch ${own}; for i in $(seq 200); do [ -e ${other} ] && exit 0; sleep 0.05; done; exit 1`
  const { job, step } = await simulateSteps(
    `- { name: Start server, id: server, background: true, run: "echo port=80 >> $GITHUB_OUTPUT; ${meet('up', 'tested')}" }
- { name: Start monitor, id: monitor, background: true, run: sleep 600 }
- { name: Test, run: "echo [\${{ steps.server.outputs.port }}]; ${meet('tested', 'up')}" }
- wait: server
- { name: Show, run: "echo \${{ steps.server.outputs.port }}" }
- parallel:
  - { name: Build a, run: "${meet('a', 'b')}" }
  - { name: Build b, run: "${meet('b', 'a')}" }
- cancel: monitor
- { name: Broken, background: true, run: exit 3 }
- { name: Goes on, run: echo }
- wait-all:
- { name: Not after a failure, run: echo }`,
  )
  expect(job.steps.map(({ name, conclusion }) => `${name}: ${conclusion}`).slice(1, -1)).toEqual([
    ...[
      'Start server: success',
      'Start monitor: cancelled',
      'Test: success',
      'Wait: success',
      'Show: success',
    ],
    ...['Build a: success', 'Build b: success', 'Parallel group: success', 'Cancel: success'],
    ...['Broken: failure', 'Goes on: success', 'Wait for all: failure', 'Not after a failure: skipped'],
  ])
  expect([step('Test').stdout, step('Show').stdout]).toEqual(['[]\n', '80\n'])
  expect(job.conclusion).toBe('failure')
})

it('masks secrets and ::add-mask:: values, also line by line, and omits outputs that contain a secret', async () => {
  const { job, step } = await simulateSteps(
    `- run: |
    echo '::add-mask::first line%0Asecond line'
    echo 'a first line, a second line, $TOKEN'
    echo "and $TOKEN"
    echo '::error title=Bad,file=a.js,line=3::hunter2-hunter2 broke%2C: 100%25'
    echo "out=$TOKEN" >> "$GITHUB_OUTPUT"
  name: Talk
  env: { TOKEN: "\${{ secrets.TOKEN }}" }
  id: talk`,
    { secrets: { TOKEN: 'hunter2-hunter2' } },
    '\n    outputs: { leak: "${{ steps.talk.outputs.out }}", fine: "x" }',
  )
  expect(step('Talk').log.split('##[endgroup]')[1]).toContain('a ***, a ***, $TOKEN\nand ***\n')
  const properties = { title: 'Bad', file: 'a.js', line: '3' }
  expect(step('Talk').annotations).toEqual([{ level: 'error', message: '*** broke%2C: 100%', properties }])
  expect(job.outputs).toEqual({ fine: 'x' })
})

it('a run leaves no process or directory behind, even if the simulator refuses a step midway', async () => {
  // A separate temporary folder, because other tests run simulations concurrently.
  const place = temporaryFolder()
  vi.stubEnv('TMPDIR', place)
  onTestFinished(() => void vi.unstubAllEnvs())
  const detached =
    "node -e \"require('child_process').spawn('sleep',['61'],{detached:true,stdio:'ignore'}).unref()\""
  const { job } = await simulateSteps(
    `- run: ${JSON.stringify(detached)}\n- run: echo x > a; tail -f a > b 2>&1 & until test -s b; do sleep 0.01; done`,
  )
  expect(job.orphans.map(orphan => orphan.command).sort()).toEqual(['sleep 61', 'tail -f a'])
  // The system may need a moment to kill the processes.
  for (const { pid } of job.orphans) await expect.poll(() => isRunning(pid)).toBe(false)
  await expect(simulateSteps('- run: echo ::set-output name=a::b; sleep 60')).rejects.toThrow(
    '::set-output::',
  )
  expect(readdirSync(place)).toEqual([])
})
