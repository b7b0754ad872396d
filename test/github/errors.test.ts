import { RequestError } from '@octokit/request-error'
import { afterEach, expect, test } from 'vitest'
import { createGitHub } from '../../relay/github/client.ts'
import { CredentialError } from '../../relay/github/credentials.ts'
import { dispatchFailure, PreparationError, readFailure } from '../../relay/github/errors.ts'
import { cleanLog, readTail } from '../../relay/github/jobs.ts'
import { formContent } from '../support/dispatch-content.ts'
import { useNock } from '../support/nock.ts'
import { withoutJitter } from '../support/without-jitter.ts'

withoutJitter()

const NOW = Date.parse('2026-03-01T10:00:00Z')
const repository = 'acme/shop'

function answered(status: number, data: unknown, headers: Record<string, string> = {}): RequestError {
  const request = { method: 'POST' as const, url: 'https://api.github.test', headers: {} }
  return new RequestError('failed', status, { request, response: { status, data, headers, url: '' } })
}
const unanswered = (code: string) =>
  new TypeError('fetch failed', { cause: Object.assign(new Error(), { code }) })
const says = (message: string) => ({ message })

/** Returns the outcome of a dispatch after an error, and the seconds until the retry. */
function dispatched(error: unknown): string {
  const outcome = dispatchFailure(error, { repository, now: NOW, refusal: () => 'refusal' })
  if (outcome.kind !== 'deferred') return outcome.kind
  return `${outcome.cause}${outcome.until === null ? '' : ` ${(outcome.until - NOW) / 1000}`}`
}
/** Returns the outcome of a read that has failed three times with an error, and the seconds until the retry. */
function read(error: unknown): string {
  const failure = readFailure(error, { repository, now: NOW, tries: 3 })
  if (failure.kind === 'later') return `later ${(failure.at - NOW) / 1000}`
  return failure.permission ? 'permission' : 'forbidden'
}
const PAGE = '<html>'
const reset = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(NOW / 1000 + 90) }
const wait = { 'retry-after': '30' }

/**
 * Columns: the error, and its effect on five requests: a dispatch that was sent, one that wasn't sent, one without an
 * App token, a read with a token, and one without a token. A dispatch isn't idempotent. After a 5xx, it may have
 * started a run, even if GitHub asks to wait. Reads can be repeated.
 */
const forbidden = (message: string, headers = {}) => answered(403, says(message), headers)
const TABLE: [what: string, error: Error, effects: string][] = [
  ['no connection', unanswered('ECONNREFUSED'), 'error, error, error; later 16, later 16'],
  ['a lost connection', unanswered('ECONNRESET'), 'response_lost, error, error; later 16, later 16'],
  ['401', answered(401, says('Bad credentials')), 'credential, credential, credential; later 60, later 60'],
  ['403', forbidden('Not accessible'), 'rejected, rejected, installation; permission, later 60'],
  ['suspended', forbidden('suspended'), 'credential, credential, installation; later 60, later 60'],
  ['hourly limit', forbidden('No more', reset), 'limit 90, limit 90, limit 90; later 90, later 90'],
  ['secondary', forbidden('secondary rate limit'), 'limit 60, limit 60, limit 60; later 480, later 480'],
  ['403 with an HTML page', answered(403, PAGE), 'error, error, error; later 16, later 16'],
  ['404', answered(404, says('Not Found')), 'rejected, rejected, rejected; forbidden, forbidden'],
  ['404 with an HTML page', answered(404, PAGE), 'error, error, error; later 16, later 16'],
  ['408', answered(408, PAGE), 'response_lost, error, error; later 16, later 16'],
  ['409', answered(409, says('Conflict')), 'rejected, rejected, rejected; later 16, later 16'],
  ['422', answered(422, says('Invalid')), 'rejected, rejected, rejected; forbidden, forbidden'],
  ['429', answered(429, ''), 'limit 60, limit 60, limit 60; later 480, later 480'],
  ['429, Retry-After', answered(429, '', wait), 'limit 30, limit 30, limit 30; later 30, later 30'],
  ['500', answered(500, says('Server Error')), 'response_lost, error, error; later 16, later 16'],
  ['503, Retry-After', answered(503, PAGE, wait), 'response_lost, error, error; later 30, later 30'],
]

test.each(TABLE)('classifies the error: %s', (_, error, effects) => {
  for (const system of ['installation', 'token'] as const) {
    const noToken = new CredentialError(system, repository, error)
    const dispatches = [error, new PreparationError(error), noToken].map(dispatched).join(', ')
    expect(`${dispatches}; ${read(error)}, ${read(noToken)}`).toBe(effects)
  }
})

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

test('names of jobs, steps, environments, and reviewers become plain lines', async () => {
  const name = 'Build\u001b[1m\nit'
  nock(API)
    .get('/repos/acme/shop/actions/runs/7/attempts/1/jobs?per_page=100')
    .reply(200, { total_count: 1, jobs: [{ id: 1, name, conclusion: null, steps: [{ name, number: 1 }] }] })
    .get('/repos/acme/shop/actions/runs/7/pending_deployments')
    .reply(200, [{ environment: { name }, wait_timer: 0, reviewers: [{ reviewer: { name } }] }])
    .get('/repos/acme/shop/actions/runs/7/approvals')
    .reply(200, [{ environments: [{ name }], state: 'approved', user: { login: name }, comment: name }])
  const github = open()
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

test('an unterminated escape sequence does not slow down parsing, and an overwritten line has its final text', () => {
  const endless = '\x1b]8;;'.repeat(100_000)
  expect(cleanLog(`${endless}\nnext`, null).at(-1)).toBe('next')
  const bar = `${'\x1b[32m10 %\x1b[0m\r'.repeat(5_000)}\x1b[32m100 %\x1b[0m\r\x1b[K`
  expect(cleanLog(bar, null)).toEqual(['100 %'])
})

test('returns only the last complete lines of a long stream', async () => {
  async function* stream() {
    for (let i = 0; i < 1_000; i++) yield Buffer.from(`line ${i} ${'ü'.repeat(20)}\n`)
  }
  const tail = await readTail(stream(), 1_000)
  expect(tail.endsWith('line 999 üüüüüüüüüüüüüüüüüüüü\n')).toBe(true)
  expect(tail).toMatch(/^line \d+ ü/)
  expect(tail.length).toBeLessThan(1_000)
  expect(await readTail(stream(), 1e6)).toMatch(/^line 0 /)
})
