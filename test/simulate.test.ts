import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { until } from '../simulator/http-server.ts'
import { encryptWith } from './action/encrypt.ts'
import {
  BODY,
  DEPLOY,
  linesFrom,
  openSimulationFolder,
  ROOT,
  RUN_ID,
  simulateWorkflow,
  USES,
  workflow,
} from './open-simulation-folder.ts'

test("shows the action's outputs and the Port run if only an event is given", async () => {
  const { startByNpm } = openSimulationFolder()
  const { code, lines, errors, left } = await startByNpm('--event', 'event.json').ended
  expect({ code, errors, left }).toEqual({ code: 0, errors: '', left: [] })
  const payload = lines.findIndex(line => line.startsWith('        "payload": '))
  const [text] = lines.splice(payload, 1)
  expect(JSON.parse(JSON.parse(`{${text}}`).payload)).toMatchObject({
    run_id: RUN_ID,
    action: 'deploy_service',
    port: { kind: 'action_run', delivery: 'simulation', inputs: BODY.inputs },
  })
  await expect(lines.join('\n')).toMatchFileSnapshot('fixtures/simulator/event-alone.txt')
})

test('lists unknown outputs that the workflow reads and permissions that a job lacks', async () => {
  const steps = `
      - { uses: acme/port-webhook-action@v1, id: port }
      - { run: 'echo "\${{ steps.port.outputs.version }} \${{ steps.port.outputs.verison }}"' }
      - { if: "steps.port.outputs['dry-run'] == 'true'", run: echo dry }`
  const { lines, errors } = await simulateWorkflow(workflow(steps).replace('actions: read', 'contents: read'))
  expect(errors).toBe('')
  const without = 'Job deploy of deploy.yml lacks the permission'
  const output = (place: string, name: string) =>
    `  deploy.yml:${place}: ${name} isn't an output in this run, so it is empty.`
  expect(lines.slice(1, 5)).toEqual([
    `  ${without} "id-token: write", without which it can't report through the relay.`,
    `  ${without} "actions: read", without which Port doesn't show its steps.`,
    `${output('10:61', 'steps.port.outputs.verison')} Did you mean version?`,
    output('11:16', "steps.port.outputs['dry-run']"),
  ])
})

test('runs a workflow from its repository, with its files, secrets, and variables', async () => {
  const { simulate, cwd } = openSimulationFolder({
    '.github/workflows/deploy.yml': workflow(`${USES}
      - { uses: actions/checkout@v7, with: { fetch-depth: 0 } }
      - { uses: actions/setup-node@v6, with: { node-version: 24 } }
      - run: test ! -e ignored.txt
      - name: Roll out
        env: { VERSION: "\${{ steps.port.outputs.version }}", KEY: "\${{ secrets.DEPLOY_KEY }}", MORE: "\${{ secrets.MORE }}" }
        run: |
          sh deploy.sh "$VERSION" "$KEY" | tee -a "$PORT_LOG"
          echo '{ blueprint: service, identifier: shop, properties: { note: "\${{ vars.REGION }}" } }' >> "$PORT_ENTITIES"
          echo "::warning::slow today"`),
    'deploy.sh': 'echo "version $1 with key $2"\n',
    'ignored.txt': '',
    '.gitignore': 'ignored.txt\n',
  })
  execFileSync('git', ['init', '--quiet'], { cwd })
  const args = ['--event', 'event.json', '--workflow', '.github/workflows/deploy.yml']
  const given = ['--secret', 'DEPLOY_KEY=k3y=k3y', '--var', 'REGION=eu']
  const { code, lines, errors } = await simulate(...args, ...given)
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  expect(lines).toEqual(
    expect.arrayContaining([
      '  Empty here: secrets.MORE. Set them with --secret NAME=VALUE and --var NAME=VALUE.',
      '  Left out, with empty outputs: actions/setup-node@v6.',
      `      Copied the files of ${cwd}.`,
      '      Left out of the simulation: its outputs are empty.',
      '      version 1.4.2 with key ***',
      '      warning: slow today',
      '           version 1.4.2 with key k3y=k3y',
      '           ✓ Run test ! -e ignored.txt (N s)',
      '           ✓ Entity service/shop',
    ]),
  )
  const entity = ['  entity   service/shop', '             properties:', '               note: eu']
  expect(lines.slice(-3)).toEqual(entity)
})

test('decrypts secret inputs with the client secret that --secret NAME=VALUE sets for secrets.NAME', async () => {
  const secret = 'client-secret-of-32-characters-and-more'
  const inputs = { token: encryptWith(secret, 'clear-text') }
  const action = { identifier: 'deploy_service', encryptedProperties: ['token'] }
  const { simulate } = openSimulationFolder({
    'event.json': { ...BODY, inputs, action },
    'deploy.yml': workflow(
      `${USES}\n      - { name: Use, run: 'echo "$TOKEN"; echo \${#TOKEN}', env: { TOKEN: "\${{ steps.port.outputs.token }}" } }`,
    ),
  })
  const { code, lines } = await simulate(...DEPLOY, '--secret', `MY_PORT_SECRET=${secret}`)
  expect(linesFrom(lines, '  ✓ Use', 3)).toEqual(['  ✓ Use', '      ***', '      10'])
  expect(lines.join('\n')).not.toMatch(/clear-text|client-secret-of/)
  expect(code).toBe(0)
})

test('a workflow without Port credentials reports directly to the fake Port, and a note explains this', async () => {
  const yaml = workflow('\n      - uses: acme/port-webhook-action@v1')
  const { code, lines } = await simulateWorkflow(yaml.replace('read', 'read, id-token: write'))
  const note = '  The action reports directly to the fake Port here, and through the relay on GitHub.'
  expect(lines[1]).toBe(note)
  expect(lines).toContain('  status   SUCCESS, "Succeeded"')
  expect(code).toBe(0)
  const second = '  second: { runs-on: ubuntu-latest, needs: deploy, steps: [{ run: exit 1 }] }'
  const two = await simulateWorkflow(
    `${yaml.replace('read', 'read, id-token: write').trimEnd()}\n${second}\n`,
  )
  expect(two.lines).toContain("The relay finishes the run, because the action didn't")
  expect(two.lines).toContain('  status   FAILURE, "Failed"')
})

test('accepts a Port workflow node, a body without a run, a dispatch, and Port’s response about a run as events', async () => {
  const dispatch = {
    event_type: 'anything',
    client_payload: { run_id: null, port: { version: 1, delivery: 'd', inputs: { a: 1 } } },
  }
  const { simulate } = openSimulationFolder({
    'node.json': { context: { nodeRunId: 'wfnr_Q0YotCZMKxDLdlaU' }, version: '1' },
    'flat.json': { version: '1' },
    'dispatch.json': dispatch,
    'kept.json': {
      ok: true,
      run: { id: RUN_ID, status: 'SUCCESS', payload: { body: { version: '1.4.2' } } },
    },
  })
  const runs = await Promise.all(
    ['node', 'flat', 'dispatch', 'kept'].map(name => simulate('--event', `${name}.json`)),
  )
  for (const run of runs) expect(run).toMatchObject({ code: 0, errors: '' })
  const [node, flat, dispatched, kept] = runs
  expect(node!.lines).toContain('Port shows node run wfnr_Q0YotCZMKxDLdlaU')
  expect(node!.lines).toContain('  status   COMPLETED, SUCCESS, "Succeeded"')
  expect(flat!.lines.slice(0, 2)).toEqual([
    'Simulating a workflow that shows the outputs, started by repository_dispatch of type port_action',
    '  The body names no run in Port, so the simulation uses the run id r_LocalTrial00000.',
  ])
  expect(flat!.lines).toContain('Port shows run r_LocalTrial00000')
  expect(dispatched!.lines.slice(0, 2)).toEqual([
    'Simulating a workflow that shows the outputs, started by repository_dispatch of type anything',
    '  The event names no run in Port, so no updates are sent to Port.',
  ])
  expect(dispatched!.lines.at(-1)).toBe('Workflow run: success')
  expect(kept!.lines).toContain(String.raw`        "inputs": "{\"version\":\"1.4.2\"}",`)
  const source = "  The event is Port's response about a run, so the simulation uses its run.payload.body."
  expect(kept!.lines[1]).toBe(source)
})

test('the event in docs/action.md and the example workflow work unchanged', async () => {
  const page = readFileSync(join(ROOT, 'docs/action.md'), 'utf8')
  const { simulate } = openSimulationFolder({ 'event.json': /```json\n([\s\S]*?)```/.exec(page)![1]! })
  const example = join(ROOT, 'examples/deploy/deploy.yml')
  const { code, lines } = await simulate('--event', 'event.json', '--workflow', example)
  expect(lines).toContain('           shop 1.4.2: replica 2 of 2 is up in staging')
  expect(code).toBe(0)
})

test('Ctrl-C cancels the workflow like GitHub’s cancel button, and leaves no temporary files', async () => {
  const steps = `${USES}
      - { name: Roll out, run: touch "$HOME/started"; exec sleep 60 }`
  const { startByNpm, place } = openSimulationFolder({ 'deploy.yml': workflow(steps) })
  const { child, ended } = startByNpm(...DEPLOY)
  await until(() => existsSync(join(place, 'started')), 'the step runs')
  // Ctrl-C sends this signal to the whole process group.
  process.kill(-child.pid!, 'SIGINT')
  const { lines, left } = await ended
  expect(lines).toContain('Workflow run: cancelled')
  expect(lines).toContain('  status   FAILURE, "Canceled"')
  expect(left).toEqual([])
})

test('skipped actions have the outputs that --output sets', async () => {
  const yaml = workflow(`${USES}
      - { uses: docker/build-push-action@v6, id: build }
      - { uses: actions/setup-node@v6, id: node }
      - { name: Tell, run: 'echo "\${{ steps.build.outputs.notes }}, node \${{ steps.node.outputs.node-version }}."' }`)
  const given = ['--output', 'build.digest=sha256:1=', '--output', 'build.notes=one\ntwo']
  const { code, lines, errors } = await simulateWorkflow(yaml, ...given)
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  expect(lines.slice(1, 3)).toEqual([
    '  Left out: docker/build-push-action@v6. You have set these outputs: build.digest, build.notes.',
    '  Left out, with empty outputs: actions/setup-node@v6.',
  ])
  expect(linesFrom(lines, '  ✓ Tell', 3)).toEqual(['  ✓ Tell', '      one', '      two, node .'])
})

test("shows the message that the relay would send if the action didn't run", async () => {
  const late = workflow(`\n      - { name: Check, run: exit 1 }${USES}`)
  const never = workflow(USES).replace('runs-on:', "if: github.ref == 'none'\n    runs-on:")
  const ends: string[][] = []
  for (const yaml of [late, never]) {
    const { lines } = await simulateWorkflow(yaml)
    expect(lines).toContain(`Port shows run ${RUN_ID}, which received no updates`)
    ends.push(linesFrom(lines, "The relay finishes the run, because the action didn't").slice(1))
  }
  expect(ends).toEqual([
    ['  status   FAILURE, "Failed"', '  log      Job "deploy" failed at step 2 "Check". See its log.'],
    [
      '  status   FAILURE, "Skipped"',
      '  log      Every job of the workflow run in you/your-repository was skipped, so nothing was done: check the "if" of its jobs.',
    ],
  ])
})

test('encodes workflow_dispatch inputs as the relay does, and prints the result as JSON with --json', async () => {
  const dispatched = workflow(
    `${USES}
      - { name: Show, run: 'echo "\${{ inputs.version }} \${{ inputs.replicas == 2 }} \${{ inputs.size }} \${{ inputs.port-run-id }}"' }`,
    'workflow_dispatch: { inputs: { port-run-id: {}, version: { required: true }, replicas: { type: number }, size: { default: small }, port: {} } }',
  )
  const { code, lines, errors } = await simulateWorkflow(dispatched, '--json')
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  expect(JSON.parse(lines.join('\n'))).toMatchObject({
    workflow: 'deploy.yml',
    started: 'workflow_dispatch',
    conclusion: 'success',
    jobs: [
      {
        name: 'deploy',
        conclusion: 'success',
        steps: [{}, { name: 'Show', log: [`1.4.2 true small ${RUN_ID}`] }, {}],
      },
    ],
    port: { id: RUN_ID, status: 'SUCCESS', entities: [], deleted: [] },
    relay: null,
  })
})

test.for([
  ['./', 'workspace'],
  ['$/', 'you/your-repository@1'],
] as const)('runs the actions and workflows that uses: %s names', async ([root, source]) => {
  const { simulate } = openSimulationFolder({
    '.github/workflows/deploy.yml': `${workflow(`${USES}
      - { name: Show, uses: ${root}.github/actions/show }`)}
  call: { uses: ${root}.github/workflows/called.yml }
`,
    '.github/workflows/called.yml': `on: { workflow_call: }
jobs: { inner: { runs-on: ubuntu-latest, steps: [{ name: File, run: 'echo "\${{ job.workflow_ref }}"' }] } }
`,
    '.github/actions/show/action.yml': `{ name: a, description: b, runs: { using: composite, steps: [
  { run: 'echo "\${{ job.workflow_file_path }} \${{ job.workflow_sha == github.sha }}"', shell: bash },
  { uses: ${root}.github/actions/inside }] } }
`,
    '.github/actions/inside/action.yml':
      '{ name: a, description: b, runs: { using: node24, main: main.js } }',
    '.github/actions/inside/main.js': `const { GITHUB_ACTION_REPOSITORY: name, GITHUB_ACTION_REF: ref, GITHUB_SHA: sha } = process.env
console.log(name ? name + '@' + Number(ref === sha) : 'workspace')`,
  })
  const { code, lines, errors } = await simulate(...DEPLOY.slice(0, 3), '.github/workflows/deploy.yml')
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  const show = ['  ✓ Show', '      .github/workflows/deploy.yml true', `      ${source}`]
  expect(linesFrom(lines, '  ✓ Show', 3)).toEqual(show)
  const file = '      you/your-repository/.github/workflows/called.yml@refs/heads/main'
  expect(linesFrom(lines, 'Job call / inner: success', 3)).toContain(file)
})
