import { afterEach, expect, test } from 'vitest'
import { createGitHub } from '../../relay/github/client.ts'
import { readFailure } from '../../relay/github/errors.ts'
import { formContent } from '../support/dispatch-content.ts'
import { useNock } from '../support/nock.ts'

const nock = useNock()
const API = 'https://api.github.test'
const TOKEN = 'a-token-of-our-own'
const TARGET = { repository: 'acme/shop', eventType: 'deploy', workflow: null, ref: null }
const INSTALLATION = `ghs_${'aB3'.repeat(40)}`

const config = { apiUrl: API, auth: { token: TOKEN }, webhookSecret: 'hook-secret', oidcIssuer: '' }
const open = () => createGitHub(config, undefined, undefined, { secrets: ['port-client-secret'] })
afterEach(() => nock.cleanAll())

test.each([
  ['colors and line breaks', '\u001b[31mred\u001b[0m\r\nr_1', 'red r_1'],
  ['a terminal command', 'a\u001b]0;owned\u0007b\u009b2Jc', 'abc'],
  ['other control characters', 'a\u0000b\u0085c\u2028d', 'a b c d'],
  ['characters that reverse the text direction', 'r_1\u202edeploy\u2066', 'r_1deploy'],
  ['half a surrogate pair', 'a\ud83db', 'ab'],
  ['excessive length', 'x'.repeat(5_000), `${'x'.repeat(299)}…`],
])('a run title with %s becomes one plain line', async (_, title, expected) => {
  const run = { id: 7, display_title: title, status: 'queued', event: 'push' }
  nock(API).get('/repos/acme/shop/actions/runs/7').reply(200, run)
  const { data } = await open().run('acme/shop', 7, null)
  expect(data?.title).toBe(expected)
})

test('names of workflows, jobs, steps, environments, and reviewers become plain lines', async () => {
  const name = 'Build\u001b[1m\nit'
  nock(API)
    .get('/repos/acme/shop/actions/workflows?per_page=100')
    .reply(200, { total_count: 1, workflows: [{ name, state: 'active' }] })
    .get('/repos/acme/shop/actions/runs/7/attempts/1/jobs?per_page=100')
    .reply(200, { total_count: 1, jobs: [{ id: 1, name, conclusion: null, steps: [{ name, number: 1 }] }] })
    .get('/repos/acme/shop/actions/runs/7/pending_deployments')
    .reply(200, [{ environment: { name }, wait_timer: 0, reviewers: [{ reviewer: { name } }] }])
    .get('/repos/acme/shop/actions/runs/7/approvals')
    .reply(200, [{ environments: [{ name }], state: 'approved', user: { login: name }, comment: name }])
  const github = open()
  expect(await github.workflows('acme/shop')).toEqual([{ name: 'Build it', state: 'active' }])
  const { jobs } = await github.jobs('acme/shop', 7, 1)
  expect(jobs).toMatchObject([{ name: 'Build it', steps: [{ name: 'Build it' }] }])
  expect(await github.pendingDeployments('acme/shop', 7)).toEqual([
    { environment: 'Build it', waitTimer: 0, reviewers: ['Build it'] },
  ])
  expect(await github.approvals('acme/shop', 7)).toEqual([
    { environments: ['Build it'], state: 'approved', by: 'Build it', comment: 'Build it' },
  ])
})

test.each([403, 422])("GitHub's message with a %i becomes one line without secrets", async status => {
  const message = `\u001b[31mNo\n${TOKEN} hook-secret port-client-secret ${INSTALLATION} of yours`
  nock(API).post('/repos/acme/shop/dispatches').reply(status, { message })
  nock(API).get('/repos/acme/shop/actions/runs/7').reply(status, { message })
  const github = open()
  const outcome = await github.dispatch(TARGET, formContent({}))
  const hidden = `(${status}: No *** *** *** *** of yours)`
  expect(outcome).toMatchObject({ kind: 'rejected', reason: expect.stringContaining(hidden) })
  const error = await github.run('acme/shop', 7, null).catch(thrown => thrown)
  expect(readFailure(error, { repository: 'acme/shop', now: 0, tries: 0 }).reason).toContain(hidden)
  expect(`${error.message} ${JSON.stringify(error.response.data)}`).not.toMatch(/secret|own|ghs_/)
})

test("the reason quotes GitHub's message without the input values, even if GitHub escapes or shortens them", async () => {
  const message = `No: "pass\\"word", 'an entire', "client_payload", pass"word`
  const body = { message, documentation_url: `${API}/rules` }
  nock(API).post('/repos/acme/shop/dispatches').reply(422, body)
  const content = formContent({ password: 'pass"word', list: [{ text: 'an entire text' }] })
  const quoted = `(422: No: "***", '***', "client_payload", ***). See ${API}/rules`
  expect(await open().dispatch(TARGET, content)).toMatchObject({ reason: expect.stringContaining(quoted) })
})

test('fetches the log of a renamed repository through two redirects, and sends the token only to the API', async () => {
  const withToken = { reqheaders: { authorization: /./ } }
  nock(API, withToken)
    .get('/repos/acme/shop/actions/jobs/7/logs')
    .reply(301, {}, { location: `${API}/repositories/1/actions/jobs/7/logs` })
    .get('/repositories/1/actions/jobs/7/logs')
    .reply(302, '', { location: 'https://logs.example/7?signed' })
  nock('https://logs.example', { badheaders: ['authorization'] })
    .get('/7?signed')
    .reply(200, 'the end\n')
  expect(await open().jobLog('acme/shop', 7)).toBe('the end\n')
})
