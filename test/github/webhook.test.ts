import { createRequire } from 'node:module'
import { Webhooks } from '@octokit/webhooks'
import fc from 'fast-check'
import type { Context } from 'hono'
import { describe, expect, test } from 'vitest'
import { readWebhookEvent } from '../../relay/intake/github-event.ts'
import { createGitHubWebhook } from '../../relay/intake/github-webhook.ts'
import { applyTo } from '../store/place.ts'
import { RUN, startSystem, WEBHOOK_SECRET } from '../support/system.ts'

const signer = new Webhooks({ secret: WEBHOOK_SECRET })

async function open() {
  const { app, store, dispatch } = await startSystem()
  const deliver = async (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string>) =>
    app.request('/github', { method: 'POST', body, headers })
  return {
    store,
    deliver,
    async send(body: unknown, event = 'workflow_run') {
      const text = JSON.stringify(body)
      const headers = { 'x-github-event': event, 'x-hub-signature-256': await signer.sign(text) }
      const response = await deliver(text, headers)
      return { status: response.status, body: await response.json() }
    },
    /** Creates a dispatched delivery to acme/shop without a bound run. */
    async delivery() {
      const id = await dispatch(RUN)
      await applyTo(store, id, { change: { dueAt: 9e15 } }, store.clock())
      return id
    },
  }
}

const event = (run: object, repository = 'acme/shop') => ({
  action: 'completed',
  repository: { full_name: repository },
  workflow_run: {
    ...{ id: 77, event: 'repository_dispatch', display_title: `deploy ${RUN}` },
    ...{ status: 'completed', conclusion: 'success', ...run },
  },
})

describe('the signature', () => {
  test('is refused, and wakes no delivery, if a bit of the body or signature was flipped', async () => {
    const relay = await open()
    const id = await relay.delivery()
    // The body has all kinds of text, to show that invalid UTF-8 doesn't decode to the same text.
    const bytes = Buffer.from(JSON.stringify(event({ name: 'Zürich \uFFFD 🚀' })))
    const signature = Buffer.from(await signer.sign(bytes.toString()))
    const send = (body: Buffer, signed: Buffer) =>
      relay.deliver(body as Buffer<ArrayBuffer>, {
        'x-github-event': 'workflow_run',
        'x-hub-signature-256': signed.toString('latin1'),
      })
    const flip = (buffer: Buffer, bit: number) => {
      const copy = Buffer.from(buffer)
      copy[bit >> 3]! ^= 1 << (bit & 7)
      return copy
    }
    for (let byte = 0; byte < bytes.length; byte++) {
      const bit = byte * 8 + (byte % 8)
      expect((await send(flip(bytes, bit), signature)).status, `bit ${bit}`).toBe(401)
    }
    await fc.assert(
      fc.asyncProperty(fc.nat(signature.length * 8 - 1), async bit => {
        const flipped = flip(signature, bit)
        // A header contains visible text only.
        fc.pre(flipped.every(byte => byte > 0x20 && byte < 0x7f))
        expect((await send(bytes, flipped)).status).toBe(401)
      }),
    )
    expect((await relay.store.get(id))!.dueAt).toBe(9e15)
    expect((await send(bytes, signature)).status).toBe(202)
    expect((await relay.store.get(id))!.dueAt).toBeLessThan(9e15)
  })

  test.each([
    ['is missing', '{"a":1}', {}],
    ['is only the old SHA-1 signature', '{"a":1}', { 'x-hub-signature': 'sha1=00' }],
    ['signs an empty body', '', { 'x-hub-signature-256': 'sha256=00' }],
    ['was created with another secret', '{"a":1}', null],
    [
      ...(['is wrong and the body is invalid JSON', '{not json'] as const),
      { 'x-github-event': 'workflow_run', 'x-hub-signature-256': `sha256=${'0'.repeat(64)}` },
    ],
  ])('is refused with an actionable message if it %s', async (_, body, headers) => {
    const relay = await open()
    const other = { 'x-hub-signature-256': await new Webhooks({ secret: 'other' }).sign('{"a":1}') }
    const response = await relay.deliver(body, (headers ?? other) as Record<string, string>)
    expect(response.status).toBe(401)
    expect(((await response.json()) as { detail: string }).detail).toMatch(/GITHUB_WEBHOOK_SECRET/)
  })

  test('is valid, but the body is invalid JSON: 400', async () => {
    const signed = { 'x-hub-signature-256': await signer.sign('{not json'), 'x-github-event': 'workflow_run' }
    expect((await (await open()).deliver('{not json', signed)).status).toBe(400)
  })
})

describe('a workflow_run webhook', () => {
  test.each(['exploded', '', null, 7])(
    'with the conclusion %j updates the run and wakes the delivery',
    async conclusion => {
      const relay = await open()
      const id = await relay.delivery()
      expect((await relay.send(event({ conclusion }))).body).toEqual({ scheduled: 1 })
      const text = typeof conclusion === 'string' ? conclusion : null
      const { runs, dueAt } = (await relay.store.get(id))!
      expect(runs).toMatchObject([{ id: 77, conclusion: text, status: 'completed', evidence: 'title' }])
      expect(dueAt).toBeLessThan(9e15)
    },
  )

  test('wakes the delivery whose run ID is in the title, if the run is in the same repository (ignoring case)', async () => {
    const relay = await open()
    await relay.delivery()
    const woken = async (run: object, repository?: string) => (await relay.send(event(run, repository))).body
    expect(await woken({})).toEqual({ scheduled: 1 })
    expect(await woken({}, 'ACME/Shop')).toEqual({ scheduled: 1 })
    expect(await woken({}, 'acme/other')).toEqual({ scheduled: 0 })
    expect(await woken({ id: 78, display_title: `deploy ${RUN}9` })).toEqual({ scheduled: 0 })
    expect(await woken({ event: 'push' })).toEqual({ ignored: 'workflow_run' })
  })

  test('wakes every unbound delivery of the repository if the title of the run identifies no delivery', async () => {
    const relay = await open()
    const id = await relay.delivery()
    expect((await relay.send(event({ display_title: 'deploy' }))).body).toEqual({ scheduled: 1 })
    expect(await relay.store.get(id)).toMatchObject({ runs: [], state: 'dispatched' })
    expect((await relay.store.get(id))!.dueAt).toBeLessThan(9e15)
  })

  test('can have a long title, and null as name, actor, branch, and attempt', async () => {
    const relay = await open()
    await relay.delivery()
    const words = Array.from({ length: 40 }, (_, i) => `word${i}`).join(' ')
    const nulls = { name: null, actor: null, head_branch: null, html_url: null, run_attempt: null }
    const long = event({ ...nulls, display_title: `${words} ${RUN}` })
    expect((await relay.send(long)).body).toEqual({ scheduled: 1 })
    const untitled = event({ ...nulls, id: 78, display_title: undefined })
    expect((await relay.send(untitled)).body).toEqual({ scheduled: 0 })
  })
})

test('accepts and ignores every other event', async () => {
  const relay = await open()
  for (const name of ['ping', 'push', 'workflow_job', 'installation'])
    expect(await relay.send({ zen: 'x' }, name)).toEqual({ status: 202, body: { ignored: name } })
  expect(await relay.send({ zen: 'x' })).toEqual({ status: 202, body: { ignored: 'workflow_run' } })
})

test('accepts a body of the maximum size that GitHub sends, and refuses a larger body', async () => {
  const relay = await open()
  const large = await relay.send({ filler: 'x'.repeat(24 * 1024 * 1024) }, 'push')
  expect(large.status).toBe(202)
  const length = String(26 * 1024 * 1024)
  const headers = { 'content-length': length, 'x-hub-signature-256': await signer.sign('x') }
  expect((await relay.deliver('x', headers)).status).toBe(413)
})

test('returns 404 and names the setting if GITHUB_WEBHOOK_SECRET is missing', async () => {
  const receive = createGitHubWebhook({ secret: null } as Parameters<typeof createGitHubWebhook>[0])
  await expect(receive({} as Context)).rejects.toMatchObject({
    status: 404,
    message: expect.stringMatching(/GITHUB_WEBHOOK_SECRET/),
  })
})

interface Example {
  action: string
  repository?: { full_name: string }
  workflow_run?: { id: number; status: string }
  workflow_job?: { run_id: number; status: string }
  environment?: string
}

const require = createRequire(import.meta.url)
const HOSTS = ['api.github.com', 'ghes-31', 'ghes-32', 'ghes-33', 'ghes-34', 'ghes-35']
const NAMES = ['workflow_run', 'workflow_job', 'deployment_review']
const EXAMPLES = HOSTS.flatMap(host => {
  type All = { name: string; examples: Example[] }[]
  const all: All = require(`@octokit/webhooks-examples/${host}/index.json`)
  const handled = all.filter(({ name }) => NAMES.includes(name))
  return handled.flatMap(({ name, examples }) => examples.map((body, i) => ({ host, name, i, body })))
})

test.each(EXAMPLES)('parses $host, $name, example $i', ({ name, body }) => {
  const repository = body.repository?.full_name
  const run = body.workflow_run
  const job = body.workflow_job
  const expected: Record<string, object> = {
    workflow_run: { run: { id: run?.id, status: run?.status } },
    workflow_job: { runId: job?.run_id, status: job?.status },
    deployment_review: { action: body.action, runId: run?.id, environments: [body.environment] },
  }
  expect(readWebhookEvent(name, body)).toMatchObject({ kind: name, repository, ...expected[name] })
})

test('the texts of a deployment_review, such as the decision of the reviewer, become single lines', () => {
  const body = {
    ...{ action: 'approved', repository: { full_name: 'acme/shop' }, workflow_run: { id: 7 } },
    workflow_job_runs: [{ environment: 'eu\r\nprod' }, { environment: 'eu\r\nprod' }],
    reviewers: [{ reviewer: { login: 'octocat' } }, { reviewer: { name: 'admins' } }, { reviewer: null }],
    ...{ approver: { login: '\u001b[31moctocat' }, comment: 'Ship\nit!' },
  }
  expect(readWebhookEvent('deployment_review', body)).toEqual({
    ...{ kind: 'deployment_review', action: 'approved', repository: 'acme/shop', runId: 7 },
    ...{
      environments: ['eu prod'],
      reviewers: ['octocat', 'admins'],
      approver: 'octocat',
      comment: 'Ship it!',
    },
  })
})

test.each([
  ['push', { repository: { full_name: 'acme/shop' } }],
  ['toString', {}],
  ['workflow_run', { repository: { full_name: 'acme/shop' } }],
  ['workflow_job', { repository: { full_name: 'acme/shop' }, workflow_job: { run_id: 'x' } }],
  ['deployment_review', null],
])('ignores the webhook %s with the body %j', (name, body) => {
  expect(readWebhookEvent(name, body)).toBeNull()
})
