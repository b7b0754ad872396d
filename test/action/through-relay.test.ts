import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Hono } from 'hono'
import { expect, onTestFinished, test } from 'vitest'
import type { Dispatch } from '../../tools/simulator/github/github.ts'
import { type FakeServerEnv, startFakeServer, until } from '../../tools/simulator/http-server.ts'
import type { RunOptions } from '../../tools/simulator/runner/types.ts'
import { runWorkflow } from '../../tools/simulator/runner/workflow.ts'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { GITHUB_RUN_ID, REPOSITORY, type System, startSystem } from '../reports/open-stage.ts'
import { temporaryFolder } from '../support/relay.ts'
import { deliver, SECRET_INPUT } from './open-relay-job.ts'
import { transcript } from './transcript.ts'

/** Stands before the relay, as a load balancer does, and keeps what passes. */
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

/** @param then what the step does after it has written its line */
const workflowOf = (system: System, dispatch: Dispatch, then = ''): RunOptions => ({
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
        run: echo "with $PASSWORD" >> "$PORT_LOG"${then}
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

test('without credentials of Port a job reports through the relay, which opens its secret inputs for it', async () => {
  const { clientSecret, cases } = vectors['aes256-gcm']
  let url = ''
  const pauses = await openPauses(() => url)
  const system = await startSystem({
    PORT_WEBHOOK_SECRETS: `rotation:${clientSecret}`,
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

test('a job whose delivery another job has finished sends nothing of what its author wrote, since the relay no longer gives the secrets', async () => {
  let url = ''
  const pauses = await openPauses(() => url)
  const system = await startSystem({ RELAY_PUBLIC_URL: pauses.origin })
  url = system.url
  const { id, dispatch, portRun } = await deliver(system)
  const responses: number[] = []
  const gone = join(temporaryFolder(), 'finished')
  const finish = async () => {
    const proof = system.issuer.token(system.run(), pauses.origin)
    const { body } = await system.post('/report/start', proof, { delivery: id })
    const message = {
      delivery: id,
      sender: 'another-job',
      number: 1,
      reports: [{ update: { conclusion: 'success' } }],
    }
    responses.push((await system.post('/report', String(body.token), message)).status)
    responses.push((await system.post('/report/inputs', String(body.token), { delivery: id })).status)
  }
  let finished: Promise<void> | undefined
  const simulated = await runWorkflow({
    ...workflowOf(system, dispatch, `; until [ -e ${gone} ]; do sleep 0.05; done`),
    onStep({ step }) {
      if (step.name === 'Deploy') finished ??= finish().finally(() => writeFileSync(gone, ''))
    },
  })
  await finished
  expect(responses).toEqual([202, 410])
  expect(simulated.conclusion).toBe('success')
  const post = simulated.jobs[0]!.steps.find(({ kind }) => kind === 'post')!
  expect(post.annotations.map(({ level, message }) => `${level} ${message}`)).toEqual(
    expect.arrayContaining([
      expect.stringMatching(
        /^notice The rest of \$PORT_LOG .* are not sent to Port: the delivery has finished/,
      ),
    ]),
  )
  expect(post.annotations.filter(({ level }) => level !== 'notice')).toEqual([])
  await until(() => portRun!.status === 'SUCCESS', 'Port gets the conclusion')
  const sent = JSON.stringify(pauses.requests.map(({ body }) => body))
  expect(sent).toContain('Job deploy')
  for (const text of [SECRET_INPUT, 'with ']) expect(sent).not.toContain(text)
})
