import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { mergeOutputs } from '../../port/client/run-bodies.ts'
import { until } from '../../simulator/http-server.ts'
import { GITHUB_RUN_ID, startSystem } from '../reports/open-stage.ts'
import { startRelay, temporaryFolder } from '../support/relay.ts'
import { runDispatched } from './play.ts'

const SECRET = 'hunter2-secret'
const NEEDS = { build: { result: 'success', outputs: { digest: 'sha256:1', note: SECRET } } }

/** Three steps write outputs. The second step waits for a file, so that a test can act in the meantime. */
const workflow = (pause: string) => `  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: ./
        with:
          mask: ${SECRET}
          needs: '${JSON.stringify(NEEDS)}'
          live: "true"
      - run: echo "output.URL=https://preview.acme.example/7" >> "$PORT_RUN"
      - run: |
          until test -e ${pause}; do sleep 0.1; done
          printf 'Output.notes<<EOF\\nfirst\\nwith ${SECRET}\\nEOF\\n' >> "$PORT_RUN"
      - run: |
          echo 'output.image:json={"tags": ["1.4", "${SECRET}"], "size": 3, "pull": true}' >> "$PORT_RUN"
          printf 'output.broken:json={"a"\\noutput.two words=x\\n' >> "$PORT_RUN"
`

test('a node run gets the outputs of three steps although the relay is killed, and every later PATCH repeats these outputs', async () => {
  const go = join(temporaryFolder(), 'go')
  const system = await startSystem({}, startRelay)
  const { port } = system
  const node = port.createNodeRun()
  const { dispatch } = await system.deliver({ runId: null, body: { run: { id: node.id } } })
  const running = runDispatched(system, dispatch, workflow(go))
  await until(() => node.output.URL !== undefined, 'Port shows the first output while the job runs')
  await system.relay.kill()
  await system.restart()
  writeFileSync(go, '')
  const simulated = await running
  await until(() => node.finishedAt !== undefined, 'Port shows the result')

  const own = {
    URL: 'https://preview.acme.example/7',
    notes: 'first\nwith ***',
    image: { tags: ['1.4', '***'], size: 3, pull: true },
    build: { digest: 'sha256:1', note: '***' },
  }
  expect(node).toMatchObject({ status: 'COMPLETED', statusLabel: 'Succeeded', result: 'SUCCESS' })
  expect(node.output).toMatchObject({ ...own, workflowRunId: GITHUB_RUN_ID })
  expect(node.output).not.toHaveProperty('broken')
  const patches = port.requests
    .filter(({ method, path }) => method === 'PATCH' && path.includes(node.id))
    .map(({ body }) => (body as { output?: object }).output ?? {})
  const page = expect.stringContaining(`/actions/runs/${GITHUB_RUN_ID}`)
  const first = patches.findIndex(output => 'URL' in output)
  expect(patches.length - first).toBeGreaterThan(1)
  for (const output of patches.slice(first))
    expect(output).toMatchObject({ URL: own.URL, build: own.build, workflowRunUrl: page })
  const warnings = simulated.jobs[0]!.steps.flatMap(step => step.annotations.map(({ message }) => message))
  expect(warnings).toEqual([
    expect.stringMatching(/^Line 7 of \$PORT_RUN: output\.broken:json must be JSON with at most 80 levels: /),
    expect.stringMatching(/^Line 8 of \$PORT_RUN: the name of an output can .*: "two words"\./),
  ])
  expect(JSON.stringify(port.requests)).not.toContain(SECRET)
})

test('outputs beyond 64 KB are omitted, and a warning names them', () => {
  const large = 'x'.repeat(40_000)
  expect(mergeOutputs({ a: large, b: 1 }, { c: large, b: { d: [2] }, a: 'small', e: large })).toEqual({
    outputs: { a: 'small', b: { d: [2] }, e: large },
    left: ['c'],
  })
  expect(mergeOutputs({ a: 1 }, { a: 'x'.repeat(65_600) })).toEqual({ outputs: { a: 1 }, left: ['a'] })
  const exact = mergeOutputs({}, { a: 'x'.repeat(65_536 - '{"a":""}'.length - 1), b: '' })
  expect(exact.left).toEqual(['b'])
})
