import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { RunOptions } from '../../tools/simulator/runner/types.ts'
import { temporaryFolder } from '../support/relay.ts'
import { clientPayload, fixtures, isRunning, named, seen, simulate, simulateSteps } from './steps.ts'

const oidc = { url: 'http://127.0.0.1:1/token', requestToken: 'request-token-1' }

describe('a JavaScript action', () => {
  it('gets its inputs, files, and variables as on a runner, and nothing else from the caller', async () => {
    process.env.SECRET_OF_THE_CALLER = 'x'
    const { job, step } = await simulateSteps(
      `- uses: ./echo-action
  id: echo
  with: { who: "\${{ github.event.client_payload.port.inputs.version }}", "two words": 2, whom: me }
- run: |
    echo "$GREETED / \${{ env.GREETED }} / \${{ steps.echo.outputs.lines }} / \${{ steps.echo.outcome }}"
  name: Look`,
      { env: { MACHINE: 'yes' }, oidc, token: 'ghs_job', runId: 77 },
    )
    const { env, event, node } = seen(step('Run ./echo-action'))
    expect(node).toBe(process.version)
    expect(env).toMatchObject({
      INPUT_WHO: 'v1.2.3',
      INPUT_TWO_WORDS: '2',
      'INPUT_JOB-STATUS': 'success',
      'INPUT_CHECK-RUN-ID': String(job.databaseId),
      INPUT_MATRIX: 'null',
      'INPUT_GITHUB-TOKEN': 'ghs_job',
      GITHUB_ACTION: 'echo',
      GITHUB_ACTION_PATH: join(fixtures, 'echo-action'),
      GITHUB_ACTIONS: 'true',
      GITHUB_ACTOR: 'octocat',
      GITHUB_API_URL: 'https://api.github.com',
      GITHUB_EVENT_NAME: 'repository_dispatch',
      GITHUB_GRAPHQL_URL: 'https://api.github.com/graphql',
      GITHUB_JOB: 'deploy',
      GITHUB_REF: 'refs/heads/main',
      GITHUB_REPOSITORY: 'acme/shop',
      GITHUB_REPOSITORY_ID: '1296269',
      GITHUB_RUN_ATTEMPT: '1',
      GITHUB_RUN_ID: '77',
      GITHUB_RUN_NUMBER: '1',
      GITHUB_SERVER_URL: 'https://github.com',
      GITHUB_WORKFLOW: 'Deploy',
      GITHUB_WORKFLOW_REF: 'acme/shop/.github/workflows/workflow.yml@refs/heads/main',
      RUNNER_ARCH: expect.stringMatching(/X64|ARM64/),
      RUNNER_ENVIRONMENT: 'github-hosted',
      RUNNER_NAME: 'GitHub Actions 1',
      RUNNER_OS: expect.any(String),
      CI: 'true',
      MACHINE: 'yes',
      PATH: process.env.PATH,
    })
    expect(env.RUNNER_TEMP).toContain('played-run-')
    const foreign = /^(GITHUB_TOKEN$|SECRET_OF_THE_CALLER$|ACTIONS_ID_TOKEN)/
    expect(Object.keys(env).filter(name => foreign.test(name))).toEqual([])
    expect(event).toMatchObject({
      action: 'deploy_service',
      branch: 'main',
      client_payload: clientPayload,
      repository: { full_name: 'acme/shop', id: 1296269, default_branch: 'main', owner: { login: 'acme' } },
      sender: { login: 'octocat' },
    })
    const { outputs, state, env: exported, summary, annotations } = step('Run ./echo-action')
    expect({ outputs, state, exported, summary }).toEqual({
      outputs: { greeting: 'Hello v1.2.3', lines: 'one\ntwo' },
      state: { who: 'v1.2.3' },
      exported: { GREETED: 'v1.2.3' },
      summary: '# Hello v1.2.3\n',
    })
    const message = expect.stringContaining("Unexpected input(s) 'whom'")
    expect(annotations).toEqual([expect.objectContaining({ level: 'warning', message })])
    expect(step('Look').stdout).toBe('v1.2.3 / v1.2.3 / one\ntwo / success\n')
    expect(job.conclusion).toBe('success')
  })

  it('runs its post steps in reverse order after all steps, with its state and the final job.status, even after a failure', async () => {
    const order: string[] = []
    const { job, step } = await simulateSteps(
      `- uses: ./echo-action
  name: First
  with: { who: me }
- uses: ./echo-action
  name: Second
- uses: ./echo-action
  name: Never
  if: false
- run: exit 3`,
      {
        oidc,
        checkRunId: false,
        onStep: ({ step }) => step.status === 'in_progress' && order.push(step.name),
      },
      '\n    permissions: { id-token: write }',
    )
    expect(order).toEqual(['First', 'Second', 'Never', 'Run exit 3', 'Post Second', 'Post First'])
    expect(job.steps.map(step => [step.number, step.name, step.conclusion])).toEqual([
      [1, 'Set up job', 'success'],
      [2, 'First', 'success'],
      [3, 'Second', 'success'],
      [4, 'Never', 'skipped'],
      [5, 'Run exit 3', 'failure'],
      [9, 'Post Second', 'success'],
      [10, 'Post First', 'success'],
      [11, 'Complete job', 'success'],
    ])
    const post = step('Post First')
    expect(seen(post).env).toMatchObject({ STATE_who: 'me', INPUT_WHO: 'me', 'INPUT_JOB-STATUS': 'failure' })
    expect(post.summary).toBe('Bye me\n')
    expect(step('Run exit 3')).toMatchObject({ exitCode: 3, outcome: 'failure', conclusion: 'failure' })
    expect(job.conclusion).toBe('failure')
    // As on GitHub Enterprise Server.
    expect(seen(step('First')).env['INPUT_CHECK-RUN-ID']).toBe('')
    for (const name of ['First', 'Post First']) {
      expect(seen(step(name)).env).toMatchObject({
        ACTIONS_ID_TOKEN_REQUEST_URL: oidc.url,
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: oidc.requestToken,
      })
      expect(step(name).log).not.toContain(oidc.requestToken)
    }
  })
})

it('parses multi-line text as YAML does, even if the text contains an expression', async () => {
  const texts = [
    ['kept as it is', '|\n      a ${{ X }}\n        b\n      c', 'a v1.2.3\n  b\nc\n'],
    ['folded', '>-\n      a ${{ X }}\n      b', 'a v1.2.3 b'],
    ['in double quotes', '"a ${{ X }}\\n\n      b"', 'a v1.2.3\n b'],
    ['in single quotes', "'a ${{ X }}\n\n      it''s'", "a v1.2.3\nit's"],
    ['without quotes', 'a ${{ X }}\n      b', 'a v1.2.3 b'],
  ]
  const steps = texts.map(
    ([name, yaml]) => `- name: ${name}\n  run: printf %s "$TEXT"\n  env:\n    TEXT: ${yaml}\n`,
  )
  const version = ' github.event.client_payload.port.inputs.version '
  const { step } = await simulateSteps(steps.join('').replaceAll(' X ', version))
  for (const [name, , text] of texts) expect(step(name!).stdout, name).toBe(text)
})

describe('a run step', () => {
  it('can fail by exit code, pipe, environment file, expression, or timeout, and the conditions of later steps are evaluated', async () => {
    const { job, step } = await simulateSteps(
      `- { name: tried, id: try, run: exit 7, continue-on-error: true }
- { name: outcome, run: "echo \${{ steps.try.outcome }} \${{ steps.try.conclusion }}" }
- { name: pipe, run: false | true }
- { name: pipe in bash, run: false | true, shell: bash }
- { name: implied success, run: echo }
- { name: always, run: echo, if: always() }
- { name: failed, run: echo, if: failure() && github.event.client_payload.port.inputs.replicas > 2 }
- { name: succeeded, run: echo, if: "\${{ success() }}" }
- { name: not cancelled, run: echo, if: "\${{ !cancelled() && contains(github.event.client_payload.port.inputs.tags, 'b') }}" }
- { name: false input, run: echo, if: always() && github.event.client_payload.port.inputs.ok }
- { name: file, run: echo nonsense >> "$GITHUB_OUTPUT", if: always() }
- { name: expression, run: "echo \${{ fromJSON(vars.NONE) }}", if: always() }
- { name: time-out, run: sleep 60, timeout-minutes: 0.001, if: always() }`,
    )
    const stepsWith = (conclusion: string) =>
      job.steps.filter(step => step.conclusion === conclusion).map(({ name }) => name)
    const succeeded = ['tried', 'outcome', 'pipe', 'always', 'failed', 'not cancelled']
    expect(stepsWith('success')).toEqual(['Set up job', ...succeeded, 'Complete job'])
    expect(stepsWith('failure')).toEqual(['pipe in bash', 'file', 'expression', 'time-out'])
    expect(stepsWith('skipped')).toEqual(['implied success', 'succeeded', 'false input'])
    expect(step('tried')).toMatchObject({ outcome: 'failure', exitCode: 7 })
    expect(step('outcome').stdout).toBe('failure success\n')
    expect(step('file').log).toContain("Invalid format 'nonsense'")
    expect(step('expression').annotations[0]?.message).toContain('cannot be evaluated')
    expect(job.conclusion).toBe('failure')
  })

  it('gets the workflow, job, and step env, and the GITHUB_ENV and GITHUB_PATH from earlier steps', async () => {
    const run = await simulate(`env: { A: w, B: w, C: w }
defaults: { run: { shell: sh, working-directory: sub } }
jobs:
  deploy:
    runs-on: ubuntu-latest
    env: { B: job, C: job }
    steps:
      - run: |
          mkdir -p sub/bin
          printf '#!/bin/sh\\necho tool' > sub/bin/tool
          chmod +x sub/bin/tool
          echo "$PWD/sub/bin" >> "$GITHUB_PATH"
          printf 'D=d\\nE<<X\\n1\\n2\\nX\\n' >> "$GITHUB_ENV"
        working-directory: .
      - run: echo "$A $B $C $D $E"; tool; basename "$PWD"
        name: Look
        env: { C: "step \${{ env.D }}" }
`)
    expect(named(run.jobs[0]!, 'Look').stdout).toBe('w job step d d 1\n2\ntool\nsub\n')
  })

  it('masks secrets and ::add-mask:: values, also line by line, and collects annotations', async () => {
    const { job, step } = await simulateSteps(
      `- run: |
    echo '::add-mask::first line%0Asecond line'
    echo '::add-mask::one!(two)*'
    echo 'a first line, a second line, $TOKEN'
    echo "and $TOKEN, one%21%28two%29%2A"
    echo '::error title=Bad,file=a.js,line=3::It broke%2C: 100%25'
    echo '::warning::Careful'
    echo '::notice::hunter2-hunter2 here'
    echo '::group::More'; echo inside; echo '::endgroup::'
    echo '::debug::unseen'
    echo "out=$TOKEN" >> "$GITHUB_OUTPUT"
  name: Talk
  env: { TOKEN: "\${{ secrets.TOKEN }}" }
  id: talk`,
      { secrets: { TOKEN: 'hunter2-hunter2' } },
      '\n    outputs: { leak: "${{ steps.talk.outputs.out }}", fine: "x" }',
    )
    const { log, stdout, annotations } = step('Talk')
    expect(stdout).toContain('and hunter2-hunter2, one%21')
    expect(log.split('##[endgroup]')[1]).toContain('a ***, a ***, $TOKEN\nand ***, ***\n')
    expect(log).not.toContain('hunter2')
    expect(log.split('##[endgroup]')[1]).not.toContain('unseen')
    expect(log).toContain('##[group]More\ninside\n##[endgroup]')
    expect(annotations).toEqual([
      { level: 'error', message: 'It broke%2C: 100%', properties: { title: 'Bad', file: 'a.js', line: '3' } },
      { level: 'warning', message: 'Careful', properties: {} },
      { level: 'notice', message: '*** here', properties: {} },
    ])
    expect(job.outputs).toEqual({ fine: 'x' })
  })
})

it('hashFiles() hashes each matching workspace file once, and no file outside the workspace', async () => {
  const { step } = await simulateSteps(
    `- run: mkdir -p a/b; printf one > a/x.lock; printf two > a/b/x.lock; printf three > a/y.lock; printf four > ../y.lock
- name: Patterns
  run: echo "\${{ hashFiles('**/x.lock') }} \${{ hashFiles('**/*.lock', '!**/y.lock') }} \${{ hashFiles('none') }} ."
- name: Paths
  env: { ALL: "\${{ format('{0}/a/y.*', github.workspace) }}", OUT: "\${{ format('{0}/../*.lock', github.workspace) }}" }
  run: echo "\${{ hashFiles(env.ALL) }} \${{ hashFiles('a/y.lock', env.ALL, env.OUT) }} \${{ hashFiles('../y.lock') }} ."`,
  )
  const sha256 = (...parts: (string | Buffer)[]) =>
    parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest()
  const both = sha256(sha256('two'), sha256('one')).toString('hex')
  const third = sha256(sha256('three')).toString('hex')
  expect(step('Patterns').stdout).toBe(`${both} ${both}  .\n`)
  expect(step('Paths').stdout).toBe(`${third} ${third}  .\n`)
})

describe('a cancellation', () => {
  it('stops the running step, skips the rest, and still runs always(), cancelled(), and post steps', async () => {
    const { run, job, step } = await simulateSteps(
      `- uses: ./echo-action
- run: trap 'echo interrupted; exit 130' INT; echo started; sleep 60 & wait
  name: Slow
- run: echo
  name: Next
- run: echo
  name: Cancelled
  if: cancelled()
- run: echo
  name: Failed
  if: failure()`,
      { cancelAt: 'Slow' },
    )
    expect([run.conclusion, job.conclusion]).toEqual(['cancelled', 'cancelled'])
    expect(step('Slow')).toMatchObject({ conclusion: 'cancelled', stdout: 'started\ninterrupted\n' })
    expect(step('Next').conclusion).toBe('skipped')
    expect(step('Cancelled').conclusion).toBe('success')
    expect(step('Failed').conclusion).toBe('skipped')
    expect(seen(step('Post Run ./echo-action')).env['INPUT_JOB-STATUS']).toBe('cancelled')
  })

  it('kills a step that ignores signals', async () => {
    const steps = "- run: trap '' INT TERM; echo started; sleep 60\n  name: Deaf"
    const { step } = await simulateSteps(steps, { cancelAt: 'Deaf' })
    expect(step('Deaf').conclusion).toBe('cancelled')
  })

  it('does not stop a step whose condition is still true', async () => {
    const steps = '- run: echo started; sleep 0.1; echo done\n  name: A\n  if: always()'
    const controller = new AbortController()
    const onStep: RunOptions['onStep'] = ({ step }) => step.name === 'A' && controller.abort()
    const { run, step } = await simulateSteps(steps, { signal: controller.signal, onStep })
    expect(step('A').stdout).toBe('started\ndone\n')
    expect(run.conclusion).toBe('cancelled')
  })

  it("can also be caused by the job's timeout-minutes", async () => {
    const steps = '- run: sleep 60\n- run: echo\n  name: Cancelled\n  if: cancelled()'
    const { job, step } = await simulateSteps(steps, {}, '\n    timeout-minutes: 0.001')
    expect(job.conclusion).toBe('cancelled')
    expect(step('Cancelled').conclusion).toBe('success')
  })

  it('runs no post step if the runner is lost', async () => {
    const controller = new AbortController()
    const { job } = await simulateSteps('- uses: ./echo-action\n- run: sleep 60\n  name: Slow', {
      runnerLost: controller.signal,
      onStep: ({ step }) => step.name === 'Slow' && setTimeout(() => controller.abort(), 100),
    })
    expect(job.conclusion).toBe('failure')
    expect(named(job, 'Post Run ./echo-action').status).toBe('queued')
  })
})

describe('jobs', () => {
  it('wait for the jobs that they need, and can read the results and outputs of these jobs', async () => {
    const run = await simulate(`jobs:
  build:
    runs-on: ubuntu-latest
    outputs: { version: "\${{ steps.v.outputs.version }}" }
    steps: [{ id: v, run: 'echo version=7 >> "$GITHUB_OUTPUT"' }]
  test:
    needs: build
    runs-on: ubuntu-latest
    steps: [{ run: exit 1 }]
  skipped:
    needs: [build, test]
    runs-on: ubuntu-latest
    steps: [{ run: echo }]
  report:
    needs: [build, test, skipped]
    if: always()
    runs-on: ubuntu-latest
    steps:
      - name: Look
        run: echo '\${{ needs.build.outputs.version }}' "$NEEDS"
        env: { NEEDS: "\${{ toJSON(needs.*.result) }}" }
`)
    expect(run.conclusion).toBe('failure')
    expect(run.jobs.map(({ id, conclusion }) => `${id}: ${conclusion}`)).toEqual([
      ...['build: success', 'test: failure', 'skipped: skipped', 'report: success'],
    ])
    const printed = named(run.jobs[3]!, 'Look').stdout
    expect(printed.replaceAll(/\s/g, '')).toBe('7["success","failure","skipped"]')
  })

  it('run once per matrix leg, with include and a name for each leg', async () => {
    const run = await simulate(`jobs:
  build:
    runs-on: ubuntu-latest
    strategy:
      max-parallel: 1
      matrix:
        os: [linux, mac]
        node: "\${{ fromJSON('[22, 24]') }}"
        exclude: [{ os: mac, node: 22 }]
        include: [{ os: linux, extra: 1 }, { os: windows }]
    steps: [{ name: Look, run: 'echo ''\${{ toJSON(matrix) }}''' }]
`)
    const legs = ['linux, 22, 1', 'linux, 24, 1', 'mac, 24', 'windows']
    expect(run.jobs.map(job => job.name)).toEqual(legs.map(leg => `build (${leg})`))
    const matrix = named(run.jobs[1]!, 'Look').stdout
    expect(JSON.parse(matrix)).toEqual({ os: 'linux', node: 24, extra: 1 })
  })
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

it('the simulator refuses a misspelled event, and accepts every valid form of "on"', async () => {
  const jobs = '\njobs: { a: { runs-on: x, steps: [{ run: echo }] } }'
  for (const on of ['repository_dispatch', '[workflow_dispatch, repository_dispatch]'])
    expect((await simulate('', { yaml: `on: ${on}${jobs}` })).conclusion).toBe('success')
  for (const on of ['repository_dispach', 'branch_protection_rule, repository_dispach'])
    await expect(simulate('', { yaml: `name: x\non: [${on}]${jobs}` })).rejects.toThrow(
      /Line: 2, Col: \d+\): Unexpected value 'repository_dispach'/,
    )
})
