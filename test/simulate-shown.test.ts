import { expect, test } from 'vitest'
import { linesFrom, RUN_ID, simulateWorkflow, USES, workflow } from './open-simulation-folder.ts'

test('skipped actions have the outputs that --output sets; entities are shown with all fields', async () => {
  const yaml = workflow(`${USES}
      - { uses: docker/build-push-action@v6, id: build }
      - { uses: actions/setup-node@v6, id: node }
      - name: Publish
        run: |
          cat >> "$PORT_ENTITIES" <<EOF
          blueprint: service
          identifier: cart
          title: Cart
          team: [web]
          properties: { image: "\${{ steps.build.outputs.digest }}", tags: [a, b], none: null }
          relations: { owner: ada }
          ---
          blueprint: image
          identifier: old
          operation: delete
          EOF
      - { name: Tell, run: 'echo "\${{ steps.build.outputs.notes }}, node \${{ steps.node.outputs.node-version }}."' }`)
  const given = ['--output', 'build.digest=sha256:1=', '--output', 'build.notes=one\ntwo']
  const { code, lines, errors } = await simulateWorkflow(yaml, ...given)
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  expect(lines.slice(1, 3)).toEqual([
    '  Left out: docker/build-push-action@v6. You have set these outputs: build.digest, build.notes.',
    '  Left out, with empty outputs: actions/setup-node@v6.',
  ])
  expect(linesFrom(lines, '  ✓ Tell', 3)).toEqual(['  ✓ Tell', '      one', '      two, node .'])
  expect(linesFrom(lines, '  entity   service/cart')).toEqual([
    '  entity   service/cart',
    '             title: Cart',
    '             team:',
    '               - web',
    '             properties:',
    '               image: sha256:1=',
    '               tags:',
    '                 - a',
    '                 - b',
    '               none: null',
    '             relations:',
    '               owner: ada',
    '  entity   image/old, deleted',
  ])
})

test('shows the position of an expression that cannot be evaluated, in a step and in a job', async () => {
  const yaml = `${workflow(`${USES}
      - name: Read
        env:
          WHOLE: |
            first \${{ steps.port.outputs.version }}
            then \${{ fromJSON(steps.port.outputs.nothing) }}
        run: echo read`)}
  after:
    needs: deploy
    if: always() && fromJSON(github.event.client_payload.action)
    runs-on: ubuntu-latest
    steps: [{ run: echo after }]
`
  const { code, lines, errors } = await simulateWorkflow(yaml)
  expect({ code, errors }).toEqual({ code: 1, errors: '' })
  const [inStep, inJob] = lines.filter(line => line.includes("can't be evaluated"))
  const place = (text: string) => {
    const before = yaml.slice(0, yaml.indexOf(text)).split('\n')
    return `deploy.yml:${before.length}:${before.at(-1)!.length + 1}`
  }
  const expression = 'fromJSON(steps.port.outputs.nothing)'
  expect(inStep).toMatch(/^ {6}error: .*: \S.*[^.]\.$/)
  expect(inStep).toContain(`\${{ ${expression} }} at ${place(expression)} can't be evaluated: `)
  const condition = 'always() && fromJSON(github.event.client_payload.action)'
  expect(inJob).toContain(`\${{ ${condition} }} at ${place(condition)} can't be evaluated: `)
  expect(lines).toContain('Job after: failure')
})

test("shows the message that the relay would send if the action didn't run", async () => {
  const late = workflow(`\n      - { name: Check, run: exit 1 }${USES}`)
  const never = workflow(USES).replace('runs-on:', "if: github.ref == 'none'\n    runs-on:")
  const broken = workflow(USES).replace('runs-on:', "env: { A: '${{ fromJSON(vars.NONE) }}' }\n    runs-on:")
  const ends: string[][] = []
  for (const yaml of [late, never, broken]) {
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
    ['  status   FAILURE, "Failed"', expect.stringMatching(/^ {2}log {6}Job "deploy" couldn't be set up: /)],
  ])
})

test('encodes workflow_dispatch inputs as the relay does, and prints the result as JSON with --json', async () => {
  const dispatched = workflow(
    `${USES}
      - { name: Show, run: 'echo "\${{ inputs.version }} \${{ inputs.replicas == 2 }} \${{ inputs.size }}"' }`,
    'workflow_dispatch: { inputs: { version: { required: true }, replicas: { type: number }, size: { default: small }, port: {} } }',
  )
  const { code, lines, errors } = await simulateWorkflow(dispatched, '--json')
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  expect(JSON.parse(lines.join('\n'))).toMatchObject({
    workflow: 'deploy.yml',
    started: 'workflow_dispatch',
    conclusion: 'success',
    jobs: [
      { name: 'deploy', conclusion: 'success', steps: [{}, { name: 'Show', log: ['1.4.2 true small'] }, {}] },
    ],
    port: { id: RUN_ID, status: 'SUCCESS', entities: [], deleted: [] },
    relay: null,
  })
  const strict = await simulateWorkflow(dispatched.replace('{ default: small }', '{ required: true }'))
  expect(strict).toMatchObject({ code: 1, errors: 'Deploy requires the input size.' })
})
