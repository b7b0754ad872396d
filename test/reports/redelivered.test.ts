import { Hono } from 'hono'
import { expect, onTestFinished, test } from 'vitest'
import { type FakeServerEnv, startFakeServer, until } from '../../simulator/http-server.ts'
import { runDispatched } from '../action/play.ts'
import { transcript } from '../action/transcript.ts'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { ADMIN_TOKEN, asAdmin } from '../support/requests.ts'
import { withoutDelivery } from '../support/without-delivery.ts'
import { GITHUB_RUN_ID, REPOSITORY, startReport, startSystem } from './open-stage.ts'

test("after a redelivery, the previous run can't report and doesn't block the new run", async () => {
  const system = await startSystem({ RELAY_ADMIN_TOKEN: ADMIN_TOKEN })
  const { id, portRun } = await system.deliver()
  const api = async (path: string, method = 'GET') => {
    const response = await asAdmin(`${system.url}/api/deliveries/${id}${path}`, { method })
    return (await response.json()) as { state: string }
  }
  await startReport(system, id)
  portRun!.externalRunId = String(GITHUB_RUN_ID)
  const ended = { status: 'completed', conclusion: 'cancelled' } as const
  system.github.createRun({ repository: REPOSITORY, id: GITHUB_RUN_ID, ...ended })
  await until(async () => (await api('')).state === 'failed', 'the relay finds that the run was canceled')
  await api('/redeliver', 'POST')
  await until(() => system.github.dispatches.length === 2, 'the delivery is dispatched again')

  const rerun = { runAttempt: 2 }
  const detail = expect.stringMatching(/^This workflow run can't report for this delivery/)
  expect(await system.start(id, rerun)).toMatchObject({ status: 403, body: { detail } })
  const run = { external_run_id: null }
  expect(await system.start(id, { runId: GITHUB_RUN_ID + 1 })).toMatchObject({ status: 200, body: { run } })
  const body = { github_run_id: GITHUB_RUN_ID + 1 }
  expect(await system.start(id, rerun)).toMatchObject({ status: 409, body })
})

/** A load balancer in front of the relay that records the traffic. */
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

test('a run without secrets in its environment reports everything, gets its decrypted inputs, and finishes in Port', async () => {
  const scheme = vectors['aes256-gcm']
  const [text] = scheme.cases
  let url = ''
  const balancer = await openBalancer(() => url)
  const { origin } = balancer
  const system = await startSystem({ PORT_PREVIOUS_SECRETS: scheme.clientSecret, RELAY_PUBLIC_URL: origin })
  url = system.url
  const inputs = { version: '1.4.2', password: text!.encrypted, large: 'x'.repeat(70_000) }
  const action = { identifier: 'deploy_service', blueprint: 'service', encryptedProperties: ['password'] }
  const { dispatch, portRun } = await system.deliver({ body: { inputs, action } })
  const job = `  deploy:
    runs-on: ubuntu-latest
    steps:
      - { uses: ./, id: port, with: { live: "false" } }
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
`
  system.github.clearRequests()
  const run = await runDispatched(system, dispatch, job)
  const shown = transcript(run, { relay: balancer, issuer: system.issuer, github: system.github })
  await expect(shown).toMatchFileSnapshot('../action/transcripts/through-relay.yml')
  await until(() => portRun!.status === 'SUCCESS', 'Port shows the result')
  const page = `${system.github.serverUrl}/${REPOSITORY}/actions/runs/${GITHUB_RUN_ID}/attempts/1`
  const externalRunId = String(GITHUB_RUN_ID)
  const link = [page.replace('/attempts/1', '')]
  expect(portRun).toMatchObject({ statusLabel: 'Succeeded', link, externalRunId })
  expect(portRun!.logs.flatMap(log => withoutDelivery(log.message).split('\n'))).toEqual([
    'Dispatched "deploy_service" to acme/shop; waiting for its workflow to start.',
    `Workflow run started: ${page}`,
    'the password is ***',
    'deploying 1.4.2',
    expect.stringMatching(/^✓ Use the secret/),
    expect.stringMatching(/^✓ Job deploy: success after/),
    'The workflow run in acme/shop succeeded.',
  ])

  // GitHub masks the tokens. Only the run has the tokens and the plaintext.
  const printed = run.jobs[0]!.steps.flatMap(step => [step.log, step.summary]).join('\n')
  expect(printed).not.toContain(text!.plaintext)
  expect(printed).not.toMatch(/eyJ[\w-]{20}/)
  expect(JSON.stringify(system.port.requests)).not.toContain(text!.plaintext)
  expect(system.relay.printed()).not.toContain(text!.plaintext)
  expect(system.relay.printed()).not.toMatch(/eyJ[\w-]{20}/)
})
