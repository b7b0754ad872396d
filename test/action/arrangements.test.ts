import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readEnvFile } from '../support/player/env-file.ts'
import type { PlayedRun } from '../support/player/types.ts'
import { action, annotations, openStage, payloadFor, REPOSITORY } from './play.ts'

const ON = 'on: { repository_dispatch: { types: [deploy_service] } }'
const PROJECT = resolve(import.meta.dirname, '../..')

/** A repository of its own, with these files. */
function repositoryWith(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'repository-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(root, name, '..'), { recursive: true })
    writeFileSync(join(root, name), content)
  }
  return root
}

const all = (played: PlayedRun) => played.jobs.flatMap(job => job.steps).flatMap(annotations)
const outside = (text: string) => text.replaceAll('uses: ./\n', 'uses: org/port-webhook-action@v1\n')
const ACTIONS = { 'org/port-webhook-action@v1': PROJECT }

test.each([
  ['exit 0', 'SUCCESS'],
  ['test "$REGION" = eu', 'FAILURE'],
])(
  'legs of a matrix show progress, and a last job that needs them ends the Port run: %s',
  async (script, status) => {
    const { play, run } = await openStage()
    const played = await play({
      yaml: `
${ON}
jobs:
  deploy:
    runs-on: ubuntu-latest
    strategy: { fail-fast: false, matrix: { region: [eu, us] } }
    steps:${action({ report: 'progress' })}
      - { run: '${script}', env: { REGION: "\${{ matrix.region }}" } }
  report:
    needs: deploy
    if: always()
    runs-on: ubuntu-latest
    steps:${action({ needs: '${{ toJSON(needs) }}' })}
`,
    })
    expect(all(played).filter(text => !text.includes('exit code'))).toEqual([])
    expect(run.status).toBe(status)
    expect(
      run.logs.filter(log => log.message.includes('✓ Job') || log.message.includes('✗ Job')),
    ).toHaveLength(3)
  },
)

test('a reusable workflow takes the payload from its caller, and ends the Port run', async () => {
  const root = repositoryWith({
    '.github/workflows/called.yml': outside(`
on:
  workflow_call:
    inputs: { payload: { type: string, required: true } }
    secrets: { PORT_CLIENT_SECRET: { required: true } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:${action({ payload: '${{ inputs.payload }}' })}
      - run: test "$VERSION" = 1.4.2
        env: { VERSION: "\${{ steps.port.outputs.version }}" }
`),
  })
  const { play, run } = await openStage()
  const played = await play({
    repositoryRoot: root,
    actions: ACTIONS,
    yaml: `
${ON}
jobs:
  call:
    uses: ./.github/workflows/called.yml
    with: { payload: "\${{ toJSON(github.event.client_payload) }}" }
    secrets: inherit
`,
  })
  expect(played.conclusion).toBe('success')
  expect(all(played)).toEqual([])
  expect(run.status).toBe('SUCCESS')
})

test('the output payload of one workflow is the input payload of the next, which ends the Port run', async () => {
  const { play, run } = await openStage()
  const first = await play({ with: { report: 'progress' } })
  const payload = first.jobs[0]!.steps.find(step => step.id === 'port')!.outputs.payload!
  expect(run.status).toBe('IN_PROGRESS')
  run.externalRunId = ''
  const second = await play({
    runId: 16_000_000_043,
    yaml: `
on: { workflow_dispatch: { inputs: { payload: { type: string } } } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:${action({ payload: '${{ inputs.payload }}' })}
`,
    event: { name: 'workflow_dispatch', payload: { inputs: { payload } } },
  })
  expect(all(second)).toEqual([])
  expect(run).toMatchObject({ status: 'SUCCESS', externalRunId: '16000000043' })
})

test('inside a composite action it reports the job all the same, and hands its outputs on', async () => {
  const root = repositoryWith({
    'port/action.yml': `
name: Port
description: What all workflows of acme begin with.
inputs:
  id: { description: Client id., required: true }
  secret: { description: Client secret., required: true }
  url: { description: API., required: true }
outputs:
  version: { description: Version., value: "\${{ steps.port.outputs.version }}" }
runs:
  using: composite
  steps:
    - uses: org/port-webhook-action@v1
      id: port
      with:
        port-client-id: \${{ inputs.id }}
        port-client-secret: \${{ inputs.secret }}
        port-api-url: \${{ inputs.url }}
`,
  })
  const { play, run } = await openStage()
  const played = await play({
    repositoryRoot: root,
    actions: ACTIONS,
    yaml: `
${ON}
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: ./port
        id: start
        with: { id: "\${{ vars.PORT_CLIENT_ID }}", secret: "\${{ secrets.PORT_CLIENT_SECRET }}", url: "\${{ vars.PORT_API_URL }}" }
      - name: Deploy
        run: |
          echo "to $VERSION" >> "$PORT_LOG"
          exit 1
        env: { VERSION: "\${{ steps.start.outputs.version }}" }
`,
  })
  expect(played.conclusion).toBe('failure')
  expect(run).toMatchObject({ status: 'FAILURE', statusLabel: 'Failed' })
  expect(run.logs.at(-1)!.message).toContain('✗ Deploy: failure')
  expect(run.logs.at(-1)!.message).toContain('\nto 1.4.2\n')
})

test('not as the first step it works, and a warning names the step before it and says why first is better', async () => {
  const { play, run } = await openStage()
  const played = await play({
    yaml: `
${ON}
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - { name: Check out, run: echo here }${action()}
`,
  })
  expect(all(played)).toEqual([
    'warning: This action is not the first step of its job: "Check out" ran before it. When such a step fails, this ' +
      'action never starts and Port is told nothing, and post steps may run after Port was told the final status. ' +
      'Move it up. See docs/errors.md#first-step',
  ])
  expect(run.status).toBe('SUCCESS')
})

test('in a job container, with its own paths and no runner to watch, main, companion and post work together', async () => {
  const { port, github, run } = await openStage()
  const temp = repositoryWith({
    'event.json': JSON.stringify({ client_payload: payloadFor(run.id) }),
    output: '',
    state: '',
    env: '',
    summary: '',
  })
  github.createRun({ id: 16_000_000_042, repository: REPOSITORY })
  const step = {
    name: 'Build',
    number: 1,
    status: 'in_progress' as const,
    started_at: new Date().toISOString(),
  }
  github.setJobs(16_000_000_042, 1, [{ id: 7, name: 'deploy', status: 'in_progress', steps: [step] }])
  // As `docker exec` starts an action: its folders are mounted under other names, HOME is the runner's.
  const environment = (more: Record<string, string> = {}) => ({
    PATH: process.env.PATH!,
    HOME: temp,
    GITHUB_ACTIONS: 'true',
    GITHUB_REPOSITORY: REPOSITORY,
    GITHUB_RUN_ID: '16000000042',
    GITHUB_RUN_ATTEMPT: '1',
    GITHUB_JOB: 'deploy',
    GITHUB_EVENT_NAME: 'repository_dispatch',
    GITHUB_EVENT_PATH: join(temp, 'event.json'),
    GITHUB_SERVER_URL: github.serverUrl,
    GITHUB_API_URL: github.url,
    GITHUB_OUTPUT: join(temp, 'output'),
    GITHUB_STATE: join(temp, 'state'),
    GITHUB_ENV: join(temp, 'env'),
    GITHUB_STEP_SUMMARY: join(temp, 'summary'),
    RUNNER_TEMP: temp,
    'INPUT_PORT-API-URL': port.url,
    'INPUT_PORT-CLIENT-ID': port.clientId,
    'INPUT_PORT-CLIENT-SECRET': port.clientSecret,
    INPUT_REPORT: 'job',
    INPUT_PROGRESS: 'true',
    'INPUT_ON-DUPLICATE': 'fail',
    'INPUT_FAIL-ON-REPORT-ERROR': 'false',
    'INPUT_GITHUB-TOKEN': github.token,
    'INPUT_CHECK-RUN-ID': '7',
    'INPUT_JOB-STATUS': 'success',
    ...more,
  })
  const node = (entry: string, more = {}) =>
    new Promise<number | null>(done =>
      // A shell between: as in a container, what started main is gone when main is.
      spawn(
        'bash',
        ['-c', `"${process.execPath}" "${join(PROJECT, 'action/dist', entry, 'index.js')}"; exit $?`],
        {
          env: environment(more),
          stdio: 'ignore',
        },
      ).on('exit', done),
    )
  expect(await node('main')).toBe(0)
  const { PORT_LOG: log } = readEnvFile(readFileSync(join(temp, 'env'), 'utf8'))
  expect(log).toBe(join(temp, 'port-log-d_1.txt'))
  writeFileSync(log!, 'from the container\n')
  const state = readEnvFile(readFileSync(join(temp, 'state'), 'utf8'))
  expect(await node('post', { STATE_report: state.report })).toBe(0)
  expect(run.status).toBe('SUCCESS')
  expect(run.logs.flatMap(entry => entry.message.split('\n'))).toContain('from the container')
})
