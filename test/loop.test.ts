import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { JsonObject } from '../port/types.ts'
import { startGitHubApi } from '../tools/simulator/github/github.ts'
import { type ReceivedRequest, until } from '../tools/simulator/http-server.ts'
import { startPortApi } from '../tools/simulator/port/port.ts'
import type { SimulatedRun } from '../tools/simulator/runner/types.ts'
import { runWorkflow } from '../tools/simulator/runner/workflow.ts'
import { relayEnv, startRelay } from './support/relay.ts'
import { send } from './support/send.ts'
import { SECRET } from './support/sign.ts'
import { withoutDelivery } from './support/without-delivery.ts'

const RUN_ID = 'r_Q0YotCZMKxDLdlaU'
const REPOSITORY = 'acme/shop'
const STEPS = ['Find the release', 'Roll out', 'Smoke test']
const workflowFile = join(import.meta.dirname, '../examples/deploy/deploy.yml')

/** The full context that Port sends when Ada presses "Execute" on the action `deploy_service`. */
const invocation = (inputs: JsonObject) => ({
  inputs,
  trigger: {
    by: {
      orgId: 'org_1',
      user: { email: 'ada@acme.example', firstName: 'Ada', lastName: 'Lovelace', phoneNumber: '0909' },
    },
    origin: 'UI',
    at: '2026-11-01T10:00:00.000Z',
    operation: 'CREATE',
  },
  event: null,
  entity: {},
  action: { identifier: 'deploy_service', blueprint: 'service', encryptedProperties: [] },
  run: { id: RUN_ID },
})

/** A relay process, a fake GitHub, a fake Port, and a runner that simulates each dispatched workflow. */
async function openLoop() {
  const [port, github] = await Promise.all([startPortApi({ clientSecret: SECRET }), startGitHubApi()])
  onTestFinished(async () => {
    await Promise.all([port.close(), github.close()])
  })
  github.addRepository(REPOSITORY)
  const run = port.createRun({ id: RUN_ID, action: 'deploy_service' })
  const relay = await startRelay(
    relayEnv({
      PORT_CLIENT_ID: port.clientId,
      PORT_API_URL: port.url,
      GITHUB_API_URL: github.url,
      GITHUB_TOKEN: github.token,
      RELAY_REPOSITORY: REPOSITORY,
    }),
  )
  const finished = new Promise<SimulatedRun>((resolve, reject) => {
    github.onDispatch(({ eventType, clientPayload }) => {
      // A runner takes seconds to start. Meanwhile, Port shows that the run is waiting for GitHub.
      until(() => run.logs.length > 0, 'Port shows that the run waits')
        .then(() =>
          runWorkflow({
            file: workflowFile,
            event: {
              name: 'repository_dispatch',
              payload: { event_type: eventType, client_payload: clientPayload },
            },
            repository: REPOSITORY,
            github,
            vars: { PORT_API_URL: port.url, PORT_CLIENT_ID: port.clientId },
            secrets: { PORT_CLIENT_SECRET: port.clientSecret },
          }),
        )
        .then(resolve, reject)
    })
  })
  return { port, github, run, relay, finished }
}

const withoutTimes = (text: string) => withoutDelivery(text).replace(/\b(\d+\.)?\d+ s\b/g, 'N s')

/** Lists the method, path, and body of each request. */
const calls = ({ requests }: { requests: ReceivedRequest[] }) =>
  requests.map(({ method, path, body, status }) => ({
    call: `${method} ${path}`,
    ...(body !== undefined && { body: JSON.parse(withoutTimes(JSON.stringify(body))) }),
    status,
  }))

/** Sends Port's webhook, waits until the workflow has finished, and stops the relay. */
async function playLoop(inputs: JsonObject) {
  const loop = await openLoop()
  const response = await send(loop.relay.url, { body: invocation(inputs), headers: { RUN_ID } })
  const simulated = await loop.finished
  expect(await loop.relay.stop()).toBe(0)
  const { serverUrl } = loop.github
  const page = `${serverUrl}/${REPOSITORY}/actions/runs/${simulated.runId}/attempts/1`
  return { ...loop, response, simulated, serverUrl, page }
}

type Loop = Awaited<ReturnType<typeof playLoop>>

/** The requests to GitHub: the relay's dispatch, and the action's request for the steps of its job. */
function expectGitHub({ github, response, simulated }: Loop, inputs: JsonObject) {
  // The relay polls the list of runs whenever a poll is due.
  const asked = calls(github).filter(({ call }) => !call.startsWith('GET /repos/acme/shop/actions/runs?'))
  expect(asked).toEqual([
    {
      call: 'POST /repos/acme/shop/dispatches',
      body: {
        event_type: 'deploy_service',
        client_payload: {
          run_id: RUN_ID,
          action: 'deploy_service',
          port: {
            version: 1,
            delivery: response.body.delivery,
            kind: 'action_run',
            operation: 'CREATE',
            blueprint: 'service',
            entity: null,
            inputs,
            encrypted: [],
            event: null,
            trigger: {
              by: { email: 'ada@acme.example', name: 'Ada Lovelace' },
              origin: 'UI',
              at: '2026-11-01T10:00:00.000Z',
            },
            relay: null,
            truncated: [],
          },
        },
      },
      status: 204,
    },
    {
      call: `GET /repos/acme/shop/actions/runs/${simulated.runId}/attempts/1/jobs?per_page=100&page=1`,
      status: 200,
    },
  ])
}

/** The requests to Port in order: by the relay, main, and post. On a slow machine, a poll reads the finished run. */
function expectPort(
  { port, serverUrl, page, simulated }: Loop,
  end: { status: string; label: string; steps: string[]; log: string[]; job: string },
) {
  const token = {
    call: 'POST /v1/auth/access_token',
    body: { clientId: port.clientId, clientSecret: port.clientSecret },
    status: 200,
  }
  const change = (body: object) => ({ call: `PATCH /v1/actions/runs/${RUN_ID}`, body, status: 200 })
  const log = (message: string) => ({
    call: `POST /v1/actions/runs/${RUN_ID}/logs`,
    body: { message },
    status: 201,
  })
  // The job, its inputs, the result of each step, and the links.
  const summary = new RegExp(
    `^${end.job}\\n[^]*${STEPS.map(step => `\\b${step}\\b[^]*`).join('')}\\[Workflow run\\]\\(${page}\\)$`,
  )
  const made = calls(port)
  const read = { call: `GET /v1/actions/runs/${RUN_ID}?version=v2`, status: 200 }
  while (JSON.stringify(made.at(-1)) === JSON.stringify(read)) made.pop()
  expect(made).toEqual([
    token,
    change({ statusLabel: 'Waiting for GitHub', link: [`${serverUrl}/acme/shop/actions`] }),
    log('Dispatched "deploy_service" to acme/shop; waiting for its workflow to start.'),

    token,
    read,
    change({ statusLabel: 'Running', link: [page], externalRunId: String(simulated.runId) }),
    log(`Workflow run started: ${page}`),

    // Post uses the token that main requested.
    log([...end.log, ...end.steps, end.job].join('\n')),
    change({
      status: end.status,
      statusLabel: end.label,
      summary: expect.stringMatching(summary),
    }),
  ])
}

test('Port sends a webhook, the relay dispatches it, the workflow deploys, and the Port run finishes as SUCCESS', async () => {
  const inputs = { service: 'shop', version: '1.4.2', environment: 'staging', replicas: 2 }
  const loop = await playLoop(inputs)

  expect(loop.response).toEqual({
    status: 202,
    body: {
      delivery: expect.any(String),
      state: 'queued',
      run_id: RUN_ID,
      repository: 'acme/shop',
      event_type: 'deploy_service',
    },
  })
  expectGitHub(loop, inputs)
  expect(loop.simulated).toMatchObject({ conclusion: 'success', title: `deploy_service ${RUN_ID}` })
  const rolledOut = [
    'shop 1.4.2: replica 1 of 2 is up in staging',
    'shop 1.4.2: replica 2 of 2 is up in staging',
  ]
  expectPort(loop, {
    status: 'SUCCESS',
    label: 'Succeeded',
    steps: ['✓ Find the release (N s)', '✓ Roll out (N s)', '✓ Smoke test (N s)'],
    log: rolledOut,
    job: '✓ Job deploy: success after N s',
  })
  expect(loop.run).toMatchObject({
    status: 'SUCCESS',
    statusLabel: 'Succeeded',
    externalRunId: String(loop.simulated.runId),
    link: [loop.page],
  })
})
