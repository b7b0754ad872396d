import { Hono } from 'hono'
import { expect, onTestFinished, test } from 'vitest'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { GITHUB_RUN_ID, openStage, REPOSITORY } from '../reports/open-stage.ts'
import { type StandInEnv, startStandIn } from '../support/http-server.ts'
import { playWorkflow } from '../support/player/play-workflow.ts'
import { until } from '../support/until.ts'
import { transcript } from './transcript.ts'

/** Stands before the relay, as a load balancer does, and keeps what passes. */
async function openGate(target: () => string) {
  const app = new Hono<StandInEnv>().all('*', async c => {
    const { method, path, headers, body } = c.var.request
    const { authorization = '' } = headers
    return fetch(target() + path, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  })
  const gate = await startStandIn(app, () => ({ body: {} }))
  onTestFinished(() => gate.close())
  return gate
}

test('without credentials of Port a job reports through the relay, which opens its secret inputs for it', async () => {
  const { clientSecret, cases } = vectors['aes256-gcm']
  let url = ''
  const gate = await openGate(() => url)
  const stage = await openStage({
    PORT_WEBHOOK_SECRETS: `rotation:${clientSecret}`,
    RELAY_PUBLIC_URL: gate.origin,
  })
  url = stage.url
  const inputs = { version: '1.4.2', password: cases[0]!.encrypted, large: 'x'.repeat(70_000) }
  const action = { identifier: 'deploy_service', blueprint: 'service', encryptedProperties: ['password'] }
  const { dispatch, portRun } = await stage.deliver({ runId: 'r_Q0YotCZMKxDLdlaU', body: { inputs, action } })
  stage.github.clearRequests()
  const played = await playWorkflow({
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
    repositoryId: stage.repositoryId,
    github: stage.github,
    runId: GITHUB_RUN_ID,
    oidc: stage.issuer.runner(stage.run()),
  })
  await expect(
    transcript(played, stage, { through: { relay: gate, issuer: stage.issuer } }),
  ).toMatchFileSnapshot('transcripts/through-relay.yml')
  await until(() => portRun!.status === 'SUCCESS', 'Port shows the end')
})
