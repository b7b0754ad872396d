import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import type { GitHubRun } from '../../simulator/github/github.ts'
import { until } from '../../simulator/http-server.ts'
import { type Env, openRelayHere, relayEnv, startServices } from '../support/relay.ts'
import { ADMIN_TOKEN, asAdmin, SECRET, send, sendRunWebhook, type Webhook } from '../support/requests.ts'

/** `LOG_DELIVERIES=10000` runs the complete form. */
const AMOUNT = Number(process.env.LOG_DELIVERIES ?? 60)
const REPOSITORIES = 20
const AT_ONCE = 20
const WEBHOOK_SECRET = 'a-secret-of-the-app-of-some-length'

const RUN_NAME = (payload: Record<string, unknown>) => `Deploy ${payload.run_id}`

async function open(env: Env = {}) {
  const hourlyLimit = 5_000 + 20 * AMOUNT
  const { port, github, env: services } = await startServices({ autoRun: true, hourlyLimit })
  const workflows = [
    {
      ...{ path: '.github/workflows/deploy.yml', name: 'Deploy', eventTypes: ['deploy'], runName: RUN_NAME },
      dispatch: { inputs: { size: { type: 'choice' as const, options: ['s', 'm'] }, port: {} } },
    },
  ]
  for (let i = 0; i < REPOSITORIES; i++) github.addRepository(`acme/shop-${i}`, { workflows })
  const relay = await openRelayHere(
    relayEnv({
      ...{ ...services, GITHUB_WEBHOOK_SECRET: WEBHOOK_SECRET, RELAY_ADMIN_TOKEN: ADMIN_TOKEN },
      ...{ RELAY_ALLOWED_REPOSITORIES: 'acme/*', RELAY_DISPATCH_RATE: '0' },
      ...env,
    }),
  )
  const deliver = async (runId: string, webhook: Webhook = {}) => {
    port.createRun({ id: runId })
    const { path = '/webhook/acme/shop-0?event_type=deploy', body = {} } = webhook
    const sent = body instanceof Uint8Array ? body : { run: { id: runId }, ...(body as object) }
    return send(relay.url, { ...webhook, path, body: sent })
  }
  const call = async (method: string, path: string) =>
    (await asAdmin(`${relay.url}/api/${path}`, { method })).status
  const runOf = (runId: string) => {
    const find = () => github.runs.findLast(({ displayTitle }) => displayTitle.endsWith(` ${runId}`))
    return until(find, 'the workflow run appears', 60_000) as Promise<GitHubRun>
  }
  const end = async (run: GitHubRun, conclusion: string | null) => {
    if (conclusion !== null) github.setRun(run.id, { status: 'completed', conclusion })
    await sendRunWebhook(relay.url, run, { github, secret: WEBHOOK_SECRET })
  }
  /** Returns the log lines about a delivery, without pino's own fields. */
  const linesOf = (delivery: unknown) =>
    relay
      .log()
      .filter(line => line.delivery === delivery)
      .map(({ time: _, pid: __, hostname: ___, ...line }) => line)
  return { port, github, relay, deliver, call, runOf, end, linesOf }
}

/** Sends a request that isn't HTTP, and waits until the relay closes the connection. */
async function sendText(url: string, text: string): Promise<void> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').resume()
  socket.write(text)
  await once(socket, 'close')
}

test('logs one line for each event of a delivery, with the known fields', async () => {
  const { github, relay, deliver, call, runOf, end, linesOf } = await open()
  const { body } = await deliver('r_1')
  const about = {
    ...{ level: 30, delivery: body.delivery, run: 'r_1' },
    ...{ repository: 'acme/shop-0', event_type: 'deploy' },
  }
  await deliver('r_1')
  const run = await runOf('r_1')
  await end(run, null)
  await until(() => linesOf(body.delivery).length === 4, 'the workflow run is bound')
  await end(run, 'success')
  await until(() => linesOf(body.delivery).length === 5, 'the delivery finishes')
  const answered = { attempt: 1, status: 204, github_request_id: expect.stringMatching(/^\w+:\w+/) }
  const ofRun = { github_run_id: run.id }
  expect(linesOf(body.delivery)).toEqual(
    expect.arrayContaining(
      [
        { ...about, msg: 'the delivery is accepted', duplicate: false },
        { ...about, msg: 'the webhook duplicates an accepted delivery', duplicate: true },
        { ...about, msg: 'GitHub accepted the dispatch', ...answered },
        { ...about, msg: 'a workflow run is bound to the delivery', ...ofRun, evidence: 'title' },
        {
          ...{ ...about, msg: 'the delivery finished with its workflow run', ...ofRun },
          ...{ conclusion: 'success', state: 'finished' },
        },
      ].map(line => expect.objectContaining(line)),
    ),
  )
  expect(await call('GET', `deliveries/${body.delivery}`)).toBe(200)
  expect(relay.log().at(-1)).toMatchObject({
    ...{ level: 30, msg: 'the admin API was called', method: 'GET', status: 200, role: 'admin' },
    ...{ path: `/api/deliveries/${body.delivery}`, address: '127.0.0.1' },
  })

  github.fail({ status: 404, body: { message: 'Not Found' } })
  const { body: rejected } = await deliver('r_2')
  const last = () => linesOf(rejected.delivery).at(-1)
  await until(() => last()?.msg === 'GitHub rejected the dispatch', 'the delivery fails')
  expect(last()).toMatchObject({ level: 30, state: 'failed', attempt: 1, status: 404 })
})

test('refused requests of unverified senders are logged immediately, then once a minute with their number and reasons', async () => {
  const { relay } = await open({ RELAY_PUBLIC_URL: 'https://relay.example', RELAY_CHECK_PUBLIC_URL: 'false' })
  const COUNT = 10
  const post = (path: string) => fetch(relay.url + path, { method: 'POST' })
  const refused: Record<string, (n: number) => Promise<unknown>> = {
    'a Port webhook is refused': n => post(n % 2 ? '/webhook' : `/webhook/acme/shop-${n}/${n}`),
    'a GitHub webhook is refused': () => post('/github'),
    'the admin API was called': n => fetch(`${relay.url}/api/${n}`),
    'a dashboard form was submitted': n => post(n % 2 ? '/redeliver' : '/sign-out'),
    "a report was refused: its report token isn't accepted": () => post('/report'),
    "a report was refused: its OIDC token isn't accepted": () => post('/report/start'),
    "a request that can't be read was refused": () => sendText(relay.url, 'hello\r\n\r\n'),
  }
  for (const request of Object.values(refused)) for (let n = 0; n < COUNT; n++) await request(n)
  await relay.stop()
  for (const msg of Object.keys(refused)) {
    const lines = relay.log().filter(line => line.msg === msg)
    expect(lines, msg).toMatchObject([{ count: 1 }, { count: COUNT - 1 }])
  }
  const { reasons } = relay.log().findLast(line => line.msg === 'a Port webhook is refused')!
  expect(reasons).toEqual({
    "There is nothing at this address: Port's webhooks go to /webhook.": COUNT / 2 - 1,
    "The header x-port-timestamp is missing: the relay accepts only Port's webhooks, and a proxy in between must pass this header.":
      COUNT / 2,
  })
})

test(`the log of ${AMOUNT} deliveries with all outcomes contains no inputs, secrets, or user names`, {
  timeout: 60_000 + AMOUNT * 100,
}, async () => {
  const { port, github, relay, deliver, call, runOf, end } = await open({ LOG_LEVEL: 'debug' })
  const person = { email: 'ada.lovelace@people.example', name: 'Ada Lovelace' }
  // Port rejects messages and quotes them in the error.
  port.fail({
    ...{ match: ({ path }) => /\/r_\d*9\//.test(path), status: 422, times: AMOUNT },
    body: { ok: false, error: 'invalid_request', message: 'hunter2 of Ada Lovelace is no message' },
  })
  const simulate = async (i: number) => {
    const runId = `r_${i}`
    const shop = `acme/shop-${i % REPOSITORIES}`
    const secret = `hunter2-${i}`
    const body = {
      action: { identifier: 'deploy', encryptedProperties: ['token'] },
      trigger: { by: { user: person } },
      inputs: { version: secret, size: secret, token: `sealed-${secret}` },
      entity: { identifier: `entity-${secret}`, properties: { owner: person.email } },
    }
    const webhook = { path: `/webhook/${shop}?event_type=deploy`, body }
    switch (i % 6) {
      case 0:
        // GitHub quotes the rejected input's value.
        await deliver(runId, { ...webhook, path: `/webhook/${shop}?workflow=deploy.yml` })
        return
      case 1:
        await deliver(runId, { ...webhook, secret })
        await deliver(runId, { ...webhook, body: Buffer.from(`{"password": "${secret}"`) })
        return
      case 2:
        await deliver(runId, { ...webhook, path: `/webhook/${shop}?wait=long` })
        return
      default: {
        const { body: response } = await deliver(runId, webhook)
        const run = await runOf(runId)
        if (i % 6 === 3) return void (await call('POST', `deliveries/${response.delivery}/cancel`))
        const failed = { status: 'completed', conclusion: 'failure' } as const
        const steps = [{ name: `echo ${secret}`, ...failed }]
        github.setJobs(run.id, 1, [{ name: `deploy ${secret} for Ada Lovelace`, ...failed, steps }])
        await end(run, i % 6 === 4 ? 'success' : 'failure')
      }
    }
  }
  const numbers = Array.from({ length: AMOUNT }, (_, i) => i).values()
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const i of numbers) await simulate(i)
    }),
  )
  const said = (msg: string) =>
    relay.log().reduce((sum, line) => (line.msg === msg ? sum + Number(line.count ?? 1) : sum), 0)
  const of = (remainders: number[]) =>
    Array.from({ length: AMOUNT }, (_, i) => i).filter(i => remainders.includes(i % 6)).length
  const patience = 60_000 + AMOUNT * 20
  const finished = () => said('the delivery finished with its workflow run')
  await until(() => said('GitHub rejected the dispatch') >= of([0]), 'GitHub rejects', patience)
  await until(() => finished() >= of([4]) + 3, 'the deliveries finish', patience)
  await relay.stop()
  expect(said('the delivery is accepted')).toBe(of([0, 3, 4, 5]))
  expect(said('a Port webhook is refused')).toBe(2 * of([1]) + of([2]))
  for (const text of ['hunter2', 'Lovelace', 'people.example', SECRET, ADMIN_TOKEN, github.token]) {
    expect(relay.printed().includes(text), text).toBe(false)
  }
  // Shows that the search works: GitHub received the texts, and the log contains an expected text.
  expect(relay.printed()).toContain('"run":"r_4"')
  const sent = JSON.stringify(github.requests.map(request => request.body))
  for (const text of ['hunter2', 'Lovelace', 'people.example']) expect(sent).toContain(text)
})
