import { Hono } from 'hono'
import { expect, onTestFinished, test } from 'vitest'
import { type FakeServerEnv, startFakeServer, until } from '../../tools/simulator/http-server.ts'
import { runDispatched } from '../action/play.ts'
import { transcript } from '../action/transcript.ts'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { withoutDelivery } from '../support/without-delivery.ts'
import { GITHUB_RUN_ID, REPOSITORY, startSystem } from './open-stage.ts'

const jobOf = (steps: string, inputs = 'live: "false"') => `
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: ./
        id: port
        with: { ${inputs} }
      ${steps.trim().replaceAll('\n', '\n      ')}
`

/** Acts as a load balancer in front of the relay, and records the traffic. */
async function openBalancer(target: () => string) {
  const app = new Hono<FakeServerEnv>().all('*', async c => {
    const { method, path, headers, body } = c.var.request
    const { authorization = '' } = headers
    return fetch(target() + path, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  })
  const balancer = await startFakeServer(app, () => ({ body: {} }))
  onTestFinished(() => balancer.close())
  return balancer
}

test('a run without secrets in its environment reports everything, decrypts its secret inputs, and finishes in Port', async () => {
  const scheme = vectors['aes256-gcm']
  const [text] = scheme.cases
  let url = ''
  const balancer = await openBalancer(() => url)
  const system = await startSystem({
    PORT_PREVIOUS_SECRETS: scheme.clientSecret,
    RELAY_PUBLIC_URL: balancer.origin,
  })
  url = system.url
  const inputs = { version: '1.4.2', password: text!.encrypted, large: 'x'.repeat(70_000) }
  const action = { identifier: 'deploy_service', blueprint: 'service', encryptedProperties: ['password'] }
  const { dispatch, portRun, id } = await system.deliver({ body: { inputs, action } })
  const job = jobOf(`
- name: Use the secret
  run: |
    test "$PASSWORD" = "${text!.plaintext}"
    test \${#LARGE} = 70000
    echo "the password is $PASSWORD" >> "$PORT_LOG"
    echo "deploying $VERSION" >> "$PORT_LOG"
  env:
    PASSWORD: \${{ steps.port.outputs.password }}
    LARGE: \${{ steps.port.outputs.large }}
    VERSION: \${{ steps.port.outputs.version }}
`)
  system.github.clearRequests()
  const run = await runDispatched(system, dispatch, job)
  await expect(
    transcript(run, system, { through: { relay: balancer, issuer: system.issuer } }),
  ).toMatchFileSnapshot('../action/transcripts/through-relay.yml')
  await until(() => portRun!.status === 'SUCCESS', 'Port shows the end')
  const page = `${system.github.serverUrl}/${REPOSITORY}/actions/runs/${GITHUB_RUN_ID}/attempts/1`
  expect(portRun).toMatchObject({
    statusLabel: 'Succeeded',
    link: [page],
    externalRunId: String(GITHUB_RUN_ID),
  })
  expect(portRun!.logs.flatMap(log => withoutDelivery(log.message).split('\n'))).toEqual([
    'Dispatched "deploy_service" to acme/shop; waiting for its workflow to start.',
    `Workflow run started: ${page}`,
    'the password is ***',
    'deploying 1.4.2',
    expect.stringMatching(/^✓ Use the secret/),
    expect.stringMatching(/^✓ Job deploy: success after/),
  ])

  // The tokens are masked. Only the run has the tokens and the plaintext.
  const printed = run.jobs[0]!.steps.flatMap(step => [step.log, step.summary]).join('\n')
  expect(printed).not.toContain(text!.plaintext)
  expect(printed).not.toMatch(/eyJ[\w-]{20}/)
  expect(JSON.stringify(system.port.requests)).not.toContain(text!.plaintext)
  expect(system.relay.printed()).not.toContain(text!.plaintext)
  expect(system.relay.printed()).not.toMatch(/eyJ[\w-]{20}/)
  expect(id).toBeTruthy()
})

test('a second run of the delivery stops before any step of its author', async () => {
  const system = await startSystem()
  const { dispatch, portRun } = await system.deliver()
  await runDispatched(system, dispatch, jobOf('- run: echo one'))
  await until(() => portRun!.status === 'SUCCESS', 'Port shows the end')
  const other = await runDispatched(system, dispatch, jobOf('- run: echo two'), { runId: GITHUB_RUN_ID + 1 })
  expect(other.conclusion).toBe('failure')
  expect(other.jobs[0]!.steps.map(step => [step.name, step.conclusion])).toEqual([
    ['Set up job', 'success'],
    ['Run ./', 'failure'],
    ['Run echo two', 'skipped'],
    ['Post Run ./', 'success'],
    ['Complete job', 'success'],
  ])
  expect(other.jobs[0]!.steps[1]!.annotations[0]!.message).toMatch(
    new RegExp(`already runs in another workflow run, ${GITHUB_RUN_ID}; this one is ${GITHUB_RUN_ID + 1}`),
  )
  const logs = portRun!.logs.length
  const rerun = await runDispatched(system, dispatch, jobOf('- run: echo again'), { attempt: 2 })
  expect(rerun.conclusion).toBe('success')
  expect(rerun.jobs[0]!.steps[1]!.annotations).toMatchObject([{ level: 'notice' }])
  expect(portRun!.logs).toHaveLength(logs)
})

test('the progress reporter shows the step and the log through the relay while the job runs', async () => {
  const system = await startSystem()
  const { dispatch, portRun } = await system.deliver()
  const steps = '- { name: Build, run: echo early >> "$PORT_LOG"; sleep 4 }'
  const playing = runDispatched(system, dispatch, jobOf(steps, 'live: "true"'))
  await until(() => portRun!.statusLabel === 'Build (1/1)', 'Port shows the step')
  await until(() => portRun!.logs.some(log => log.message.includes('early')), 'Port shows the line')
  expect(portRun!.status).toBe('IN_PROGRESS')
  expect((await playing).jobs[0]!.orphans).toEqual([])
  await until(() => portRun!.status === 'SUCCESS', 'Port shows the end')
  expect(portRun!.logs.filter(log => log.message.includes('early'))).toHaveLength(1)
})

test('report: workflow leaves the conclusion to the relay', async () => {
  const system = await startSystem()
  const { dispatch, portRun } = await system.deliver()
  await runDispatched(system, dispatch, jobOf('- run: echo one', 'report: workflow, live: "false"'))
  await until(() => portRun!.status === 'SUCCESS', 'the relay ends the run in Port')
  expect(portRun!.logs.some(log => log.message.includes('✓ Run echo one'))).toBe(true)
})
