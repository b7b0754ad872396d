import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { readWebhookEvent } from '../../relay/intake/github-event.ts'

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

test('the examples include every webhook that the relay handles', () => {
  expect([...new Set(EXAMPLES.map(({ name }) => name))].sort()).toEqual(NAMES.toSorted())
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

describe('a deployment_review', () => {
  const base = { repository: { full_name: 'acme/shop' }, workflow_run: { id: 7 } }

  test('is read with the environments, the reviewer who decided, and the comment, each on one line', () => {
    const body = {
      ...base,
      action: 'approved',
      workflow_job_runs: [{ environment: 'prod' }, { environment: 'eu\r\nprod' }, { environment: 'prod' }],
      reviewers: [
        { type: 'User', reviewer: { login: 'octocat', name: 'Mona' } },
        { type: 'Team', reviewer: { name: 'admins' } },
        { type: 'Bot', reviewer: null },
      ],
      approver: { login: '\u001b[31moctocat' },
      comment: 'Ship\nit!',
    }
    expect(readWebhookEvent('deployment_review', body)).toEqual({
      ...{ kind: 'deployment_review', action: 'approved', repository: 'acme/shop', runId: 7 },
      ...{ environments: ['prod', 'eu prod'], reviewers: ['octocat', 'admins'] },
      ...{ approver: 'octocat', comment: 'Ship it!' },
    })
  })

  test('is read even if only the run and the "action" field are present', () => {
    const expected = { action: 'new', environments: [], reviewers: [], approver: null, comment: '' }
    expect(readWebhookEvent('deployment_review', { ...base, action: 'new' })).toMatchObject(expected)
  })
})

test.each([
  ['ping', { repository: { full_name: 'acme/shop' } }],
  ['push', { repository: { full_name: 'acme/shop' } }],
  ['toString', {}],
  ['workflow_run', { repository: { full_name: 'acme/shop' } }],
  ['workflow_job', { repository: { full_name: 'acme/shop' }, workflow_job: { run_id: 'x' } }],
  ['deployment_review', null],
])('ignores the webhook %s with the body %j', (name, body) => {
  expect(readWebhookEvent(name, body)).toBeNull()
})
