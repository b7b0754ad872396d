import { RequestError } from '@octokit/request-error'
import { expect, test } from 'vitest'
import { CredentialError } from '../../relay/github/credentials.ts'
import { dispatchFailure, PreparationError, readFailure } from '../../relay/github/errors.ts'
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

/** Summarizes how a dispatch handles an error, and how many seconds later the dispatch is retried. */
function dispatched(error: unknown): string {
  const outcome = dispatchFailure(error, { repository, now: NOW, refusal: () => 'refusal' })
  if (outcome.kind !== 'deferred') return outcome.kind
  return `${outcome.cause}${outcome.until === null ? '' : ` ${(outcome.until - NOW) / 1000}`}`
}
/** Summarizes how a read handles an error after three failures, and how many seconds later the read is retried. */
function read(error: unknown): string {
  const failure = readFailure(error, { repository, now: NOW, tries: 3 })
  if (failure.kind === 'later') return `later ${(failure.at - NOW) / 1000}`
  return failure.permission ? 'permission' : 'forbidden'
}
const PAGE = '<html>'
const reset = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(NOW / 1000 + 90) }
const wait = { 'retry-after': '30' }

/**
 * Columns: the error; its effect on a dispatch that was sent, on a dispatch that wasn't sent, and on a dispatch without an
 * App token; then its effect on a read with a token and on a read without one. A dispatch isn't idempotent. After a
 * 5xx, the dispatch may have started a run, even if GitHub asks to wait. Reads can simply be repeated.
 */
const TABLE: [what: string, error: Error, effects: string][] = [
  ['no connection', unanswered('ECONNREFUSED'), 'error, error, error; later 16, later 16'],
  ['a lost connection', unanswered('ECONNRESET'), 'response_lost, error, error; later 16, later 16'],
  ['401', answered(401, says('Bad credentials')), 'credential, credential, credential; later 60, later 60'],
  [
    '403',
    answered(403, says('Resource not accessible')),
    'rejected, rejected, installation; permission, later 60',
  ],
  [
    '403, suspended account',
    answered(403, says('Your account was suspended')),
    'credential, credential, installation; later 60, later 60',
  ],
  [
    '403, hourly rate limit',
    answered(403, says('No more'), reset),
    'limit 90, limit 90, limit 90; later 90, later 90',
  ],
  [
    '403, secondary rate limit',
    answered(403, says('You have exceeded a secondary rate limit')),
    'limit 60, limit 60, limit 60; later 480, later 480',
  ],
  ['403 with an HTML page', answered(403, PAGE), 'error, error, error; later 16, later 16'],
  ['404', answered(404, says('Not Found')), 'rejected, rejected, rejected; forbidden, forbidden'],
  ['404 with an HTML page', answered(404, PAGE), 'error, error, error; later 16, later 16'],
  ['408', answered(408, PAGE), 'response_lost, error, error; later 16, later 16'],
  ['409', answered(409, says('Conflict')), 'rejected, rejected, rejected; later 16, later 16'],
  ['409 with an HTML page', answered(409, PAGE), 'error, error, error; later 16, later 16'],
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

test.each(['Forbidden', 'Forbidden.'])('the reason links to the documentation (message "%s")', message => {
  const error = answered(403, { message, documentation_url: 'https://docs.github.com/rest' })
  const { reason } = readFailure(error, { repository, now: NOW, tries: 0 })
  expect(reason).toContain('(403: Forbidden. See https://docs.github.com/rest)')
})
