import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { packClientPayload } from '../port/client-payload.ts'
import { invocationOf, RUN_ID, root, workflowOf } from './render-example.ts'
import { startGitHubApi } from './support/github-api.ts'
import { playWorkflow } from './support/player/play-workflow.ts'
import { startPortApi } from './support/port-api.ts'

/** Plays an example on the built action, with commands that write down how they are called, and fail with the argument `broken`. */
async function play(example: string, commands: string[], broken = '', yaml?: string) {
  const bin = mkdtempSync(join(tmpdir(), 'examples-bin-'))
  const [port, github] = await Promise.all([startPortApi(), startGitHubApi()])
  onTestFinished(async () => {
    rmSync(bin, { recursive: true, force: true })
    await Promise.all([port.close(), github.close()])
  })
  github.addRepository('acme/shop')
  const calls = join(bin, 'calls')
  writeFileSync(calls, '')
  for (const command of commands) {
    const fails = broken ? `case " $* " in *" ${broken} "*) exit 1;; esac\n` : ''
    writeFileSync(join(bin, command), `#!/bin/sh\necho "${command} $*" >> ${calls}\n${fails}`)
    chmodSync(join(bin, command), 0o755)
  }
  const run = port.createRun({ id: RUN_ID })
  const portAction = `examples/${example}.json`
  const invocation = invocationOf(portAction)
  await playWorkflow({
    ...(yaml ? { yaml } : { file: join(root, workflowOf(portAction)) }),
    event: {
      name: 'repository_dispatch',
      payload: {
        event_type: invocation.action,
        client_payload: packClientPayload(invocation, { delivery: 'd_1', relay: null }),
      },
    },
    repository: 'acme/shop',
    github,
    actions: { 'actions/checkout@*': 'test/fixtures/player/echo-action' },
    env: { PATH: `${bin}:${process.env.PATH}` },
    vars: { PORT_API_URL: port.url, PORT_CLIENT_ID: port.clientId },
    secrets: { PORT_CLIENT_SECRET: port.clientSecret, SCAFFOLD_TOKEN: 'ghp_x' },
  })
  return {
    run,
    log: run.logs.map(({ message }) => message).join('\n'),
    calls: readFileSync(calls, 'utf8').split('\n'),
  }
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
    const played = yaml
      // Without a checkout, the script is a command.
      .replace('./deploy.sh', 'deploy.sh')
      .replace(/^( *)port-client-id:/m, '$1port-api-url: ${{ vars.PORT_API_URL }}\n$&')
    const { run, calls } = await play('deploy/port-action.full-context', ['deploy.sh'], broken, played)
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
