import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readInvocation } from '../port/invocation/invocation.ts'
import { packClientPayload } from '../port/payload.ts'
import type { JsonObject } from '../port/types.ts'
import { fitInputs, offeredNames, offerInputs } from '../relay/github/workflow-inputs.ts'
import { startGitHubApi } from '../tools/simulator/github/github.ts'
import { runWorkflow } from '../tools/simulator/runner/workflow.ts'
import { invocationOf, parsed, root, text, workflowOf } from './render-example.ts'
import { onFakes, simulateForPort } from './support/simulate-for-port.ts'

/** Simulates the workflow in the folder of a Port action's definition. */
function simulate(example: string, commands: string[], broken = '') {
  const portAction = `examples/${example}.json`
  const file = join(root, workflowOf(portAction))
  return simulateForPort({ file }, invocationOf(portAction), commands, { broken })
}

test("the restart example restarts the Port action's entity", async () => {
  const { run, log, calls } = await simulate('restart/port-action', ['kubectl'])
  expect(run.status).toBe('SUCCESS')
  expect(log).toContain('ada@acme.example restarts web/shop: it leaks')
  expect(calls).toEqual([
    'kubectl --namespace web rollout restart deployment/shop',
    'kubectl --namespace web rollout status deployment/shop --timeout=5m',
    '',
  ])
})

test.each([
  ['restart', 'kubectl', 'status', ['✗ Wait until it is up again: failure']],
  [
    ...(['scaffold', 'gh', 'create'] as const),
    ['✗ Create the repository: failure', '– Delete branches once they are merged: skipped'],
  ],
])('the %s example fails if a %s %s command fails', async (example, command, broken, steps) => {
  const { run, log } = await simulate(`${example}/port-action`, [command], broken)
  expect(run.status).toBe('FAILURE')
  for (const step of steps) expect(log).toContain(step)
})

test("the README's workflow passes the inputs to its step, and Port shows the log of the step", async () => {
  const blocks = [...text('README.md').matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(match => match[1]!)
  const yaml = blocks.find(block => block.includes('port-webhook-action@'))!
  const invocation = invocationOf('examples/deploy/port-action.full-context.json')
  const { run, log } = await simulateForPort({ yaml: onFakes(yaml) }, invocation, [])
  expect(log).toContain('Deploying shop 1.4.2\n')
  expect(run.status).toBe('SUCCESS')
})

test('the scaffold example reports two jobs to one Port run, and the last job finishes the run', async () => {
  const { run, log, calls } = await simulate('scaffold/port-action', ['gh'])
  expect(run.status).toBe('SUCCESS')
  expect(log).toMatch(/Created http:\S+\/acme\/cart\n/)
  expect(calls).toEqual([
    'gh repo create acme/cart --private --template acme/template-node --description Keeps the cart',
    'gh repo edit acme/cart --delete-branch-on-merge',
    '',
  ])
})

test('the preview example reports the values that the next node of the Port workflow reads', async () => {
  const { nodes } = JSON.parse(text('examples/preview/port-workflow.json'))
  const body = { ...nodes[1].config.body, run: { id: 'wfnr_Zy98Xw76Vu54Ts32' }, inputs: { pull_request: 7 } }
  const yaml = onFakes(text('examples/preview/preview.yml'))
  const { node } = await simulateForPort({ yaml }, readInvocation(body), [])
  const read = JSON.stringify(nodes[2].config.mapping).matchAll(/\.outputs\[\\"preview\\"\]\.([\w.]+)/g)
  const values = [...read].map(([, path]) =>
    path!.split('.').reduce((at: unknown, name) => (at as JsonObject)[name], node.output),
  )
  expect(values).toEqual(['https://pr-7.shop.example', expect.stringMatching(/^sha256:[\da-f]{64}$/)])
})

test('an existing workflow, started by the relay, gets typed inputs, and uses its own default for a missing input', async () => {
  const portAction = 'examples/existing-workflow/port-action.json'
  const file = workflowOf(portAction)
  /** Simulates the workflow with the inputs that the relay sends once it knows which inputs are undeclared. */
  async function start(inputs: JsonObject = {}) {
    const invocation = invocationOf(portAction)
    const all = { ...invocation, inputs: { ...invocation.inputs, ...inputs } }
    const declared = parsed(file).on.workflow_dispatch.inputs
    const offer = offerInputs(all, packClientPayload(all, { delivery: 'd_1', relay: null }))
    const fitted = fitInputs(offer, new Set(offeredNames(offer).filter(name => !(name in declared))))
    if (!('inputs' in fitted)) throw new Error(JSON.stringify(fitted))
    const { run, played } = await simulateForPort({ file: join(root, file) }, all, [], {
      inputs: fitted.inputs,
    })
    return { run, rollOut: played.jobs[0]!.steps.find(step => step.name === 'Roll out')! }
  }
  const { run, rollOut } = await start()
  const lines = [1, 2].map(n => `shop 1.4.2: replica ${n} of 2 is up in staging (blue-green; notes: none)\n`)
  expect(rollOut.stdout).toBe(lines.join(''))
  expect(run.status).toBe('IN_PROGRESS')
  expect((await start({ dry_run: true })).rollOut.conclusion).toBe('skipped')
})

test("the project's own workflow finds the expected outputs and the expected Port run", async () => {
  const github = await startGitHubApi()
  onTestFinished(() => github.close())
  github.addRepository('org/port-webhook-action')
  // In this test, the container is this machine with its node_modules.
  const yaml = text('.github/workflows/self.yml')
    .replace(/^ +container: .*\n/m, '')
    .replace(/npm ci .*/, 'true')
  const { jobs } = await runWorkflow({
    yaml,
    event: { name: 'push', payload: { ref: 'refs/heads/main' } },
    repository: 'org/port-webhook-action',
    github,
    workspace: root,
    actions: { 'actions/checkout@*': 'test/fixtures/simulator/echo-action' },
  })
  const ended = jobs.flatMap(({ steps }) => steps.map(({ name, conclusion }) => `${name}: ${conclusion}`))
  expect(ended.filter(line => !line.endsWith(': success'))).toEqual([])
  expect(ended).toContain('Post Run ./test/fake-port: success')
})
