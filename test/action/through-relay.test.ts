import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Hono } from 'hono'
import { expect, onTestFinished, test } from 'vitest'
import type { Dispatch } from '../../tools/simulator/github/github.ts'
import { type StandInEnv, startStandIn, until } from '../../tools/simulator/http-server.ts'
import type { PlayOptions } from '../../tools/simulator/runner/types.ts'
import { playWorkflow } from '../../tools/simulator/runner/workflow.ts'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { GITHUB_RUN_ID, openStage, REPOSITORY, type Stage } from '../reports/open-stage.ts'
import { temporaryFolder } from '../support/relay.ts'
import { deliver, SECRET_INPUT } from './open-relay-job.ts'
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

/** @param then what the step does after it has written its line */
const workflowOf = (stage: Stage, dispatch: Dispatch, then = ''): PlayOptions => ({
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
  repositoryId: stage.repositoryId,
  github: stage.github,
  runId: GITHUB_RUN_ID,
  oidc: stage.issuer.runner(stage.run()),
})

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
  const played = await playWorkflow(workflowOf(stage, dispatch))
  await expect(
    transcript(played, stage, { through: { relay: gate, issuer: stage.issuer } }),
  ).toMatchFileSnapshot('transcripts/through-relay.yml')
  await until(() => portRun!.status === 'SUCCESS', 'Port shows the end')
})

test('a job whose delivery another job has finished sends nothing of what its author wrote, since the relay no longer gives the secrets', async () => {
  let url = ''
  const gate = await openGate(() => url)
  const stage = await openStage({ RELAY_PUBLIC_URL: gate.origin })
  url = stage.url
  const { id, dispatch, portRun } = await deliver(stage)
  const answers: number[] = []
  const gone = join(temporaryFolder(), 'finished')
  const finish = async () => {
    const proof = stage.issuer.token(stage.run(), gate.origin)
    const { body } = await stage.post('/report/start', proof, { delivery: id })
    const message = {
      delivery: id,
      sender: 'another-job',
      number: 1,
      reports: [{ update: { conclusion: 'success' } }],
    }
    answers.push((await stage.post('/report', String(body.token), message)).status)
    answers.push((await stage.post('/report/inputs', String(body.token), { delivery: id })).status)
  }
  let finished: Promise<void> | undefined
  const played = await playWorkflow({
    ...workflowOf(stage, dispatch, `; until [ -e ${gone} ]; do sleep 0.05; done`),
    onStep({ step }) {
      if (step.name === 'Deploy') finished ??= finish().finally(() => writeFileSync(gone, ''))
    },
  })
  await finished
  expect(answers).toEqual([202, 410])
  expect(played.conclusion).toBe('success')
  const post = played.jobs[0]!.steps.find(({ kind }) => kind === 'post')!
  expect(post.annotations.map(({ level, message }) => `${level} ${message}`)).toEqual(
    expect.arrayContaining([
      expect.stringMatching(
        /^notice What is left in \$PORT_LOG .* are not sent to Port: the delivery has finished/,
      ),
    ]),
  )
  expect(post.annotations.filter(({ level }) => level !== 'notice')).toEqual([])
  await until(() => portRun!.status === 'SUCCESS', 'Port gets the conclusion')
  const sent = JSON.stringify(gate.requests.map(({ body }) => body))
  expect(sent).toContain('Job deploy')
  for (const text of [SECRET_INPUT, 'with ']) expect(sent).not.toContain(text)
})
