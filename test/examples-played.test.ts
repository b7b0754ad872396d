import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { onStandIn, playForPort } from './play-for-port.ts'
import { invocationOf, root, workflowOf } from './render-example.ts'
import { playWorkflow } from './support/player/play-workflow.ts'

/** Plays the workflow beside the definition of a Port action. */
function play(example: string, commands: string[], broken = '') {
  const portAction = `examples/${example}.json`
  const file = join(root, workflowOf(portAction))
  return playForPort({ file }, invocationOf(portAction), commands, { broken })
}

test('the restart example restarts the entity that the action ran on', async () => {
  const { run, log, calls } = await play('restart/port-action', ['kubectl'])
  expect(run.status).toBe('SUCCESS')
  expect(log).toContain('ada@acme.example restarts web/shop: it leaks')
  expect(calls).toEqual([
    'kubectl --namespace web rollout restart deployment/shop',
    'kubectl --namespace web rollout status deployment/shop --timeout=5m',
    '',
  ])
})

test('the restart example ends in failure when the entity does not come up again', async () => {
  const { run, log } = await play('restart/port-action', ['kubectl'], 'status')
  expect(run.status).toBe('FAILURE')
  expect(log).toContain('✗ Wait until it is up again: failure')
})

test.each([
  ['succeeds', '', 'SUCCESS'],
  ['fails', '1.4.2', 'FAILURE'],
])(
  "the README's workflow ends as its deployment does, which here %s before a pipe",
  async (_does, broken, status) => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8')
    const yaml = [...readme.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].find(([, block]) =>
      block!.includes('deploy.sh'),
    )![1]!
    const invocation = invocationOf('examples/deploy/port-action.full-context.json')
    const { run, calls } = await playForPort({ yaml: onStandIn(yaml) }, invocation, ['deploy.sh'], { broken })
    expect(calls).toEqual(['deploy.sh shop 1.4.2', ''])
    expect(run.status).toBe(status)
  },
)

test('the scaffold example makes one Port run of two jobs, and ends it with the last', async () => {
  const { run, log, calls } = await play('scaffold/port-action', ['gh'])
  expect(run.status).toBe('SUCCESS')
  expect(log).toMatch(/Created http:\S+\/acme\/cart\n/)
  expect(calls).toEqual([
    'gh repo create acme/cart --private --template acme/template-node --description Keeps the cart',
    'gh repo edit acme/cart --delete-branch-on-merge',
    '',
  ])
})

test('the scaffold example ends in failure when its first job does', async () => {
  const { run, log } = await play('scaffold/port-action', ['gh'], 'create')
  expect(run.status).toBe('FAILURE')
  expect(log).toContain('✗ Create the repository: failure')
  expect(log).toContain('– Delete branches once they are merged: skipped')
})

test("the project's own workflow finds each output of the action as it should be", async () => {
  const run = await playWorkflow({
    file: join(root, '.github/workflows/self.yml'),
    event: { name: 'push', payload: { ref: 'refs/heads/main' } },
    repository: 'org/port-webhook-action',
    actions: { 'actions/checkout@*': 'test/fixtures/player/echo-action' },
  })
  expect(run.conclusion).toBe('success')
})
