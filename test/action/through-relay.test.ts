import { Hono } from 'hono'
import { expect, onTestFinished, test } from 'vitest'
import type { Dispatch } from '../../tools/simulator/github/github.ts'
import { type FakeServerEnv, startFakeServer, until } from '../../tools/simulator/http-server.ts'
import type { RunOptions } from '../../tools/simulator/runner/types.ts'
import { runWorkflow } from '../../tools/simulator/runner/workflow.ts'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { GITHUB_RUN_ID, REPOSITORY, type System, startSystem } from '../reports/open-stage.ts'
import { transcript } from './transcript.ts'

/** Acts as a load balancer in front of the relay, and records the traffic. */
async function openPauses(target: () => string) {
  const app = new Hono<FakeServerEnv>().all('*', async c => {
    const { method, path, headers, body } = c.var.request
    const { authorization = '' } = headers
    return fetch(target() + path, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  })
  const pauses = await startFakeServer(app, () => ({ body: {} }))
  onTestFinished(() => pauses.close())
  return pauses
}

const workflowOf = (system: System, dispatch: Dispatch): RunOptions => ({
  yaml: `
on: { repository_dispatch: { types: [deploy_service] } }
permissions: { id-token: write, actions: read }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: ./
        id: port
      - name: Deploy
        run: echo "with $PASSWORD" >> "$PORT_LOG"
        env: { PASSWORD: "\${{ steps.port.outputs.password }}" }
`,
  event: {
    name: 'repository_dispatch',
    payload: { event_type: dispatch.eventType, client_payload: dispatch.clientPayload },
  },
  repository: REPOSITORY,
  repositoryId: system.repositoryId,
  github: system.github,
  runId: GITHUB_RUN_ID,
  oidc: system.issuer.runner(system.run()),
})

test('a job without Port credentials reports through the relay, and the relay decrypts its secret inputs', async () => {
  const { clientSecret, cases } = vectors['aes256-gcm']
  let url = ''
  const pauses = await openPauses(() => url)
  const system = await startSystem({
    PORT_PREVIOUS_SECRETS: clientSecret,
    RELAY_PUBLIC_URL: pauses.origin,
  })
  url = system.url
  const inputs = { version: '1.4.2', password: cases[0]!.encrypted, large: 'x'.repeat(70_000) }
  const action = { identifier: 'deploy_service', blueprint: 'service', encryptedProperties: ['password'] }
  const { dispatch, portRun } = await system.deliver({
    runId: 'r_Q0YotCZMKxDLdlaU',
    body: { inputs, action },
  })
  system.github.clearRequests()
  const simulated = await runWorkflow(workflowOf(system, dispatch))
  await expect(
    transcript(simulated, system, { through: { relay: pauses, issuer: system.issuer } }),
  ).toMatchFileSnapshot('transcripts/through-relay.yml')
  await until(() => portRun!.status === 'SUCCESS', 'Port shows the end')
})
