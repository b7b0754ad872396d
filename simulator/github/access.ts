import { randomUUID } from 'node:crypto'
import type { ErrorObject } from 'ajv'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { decodeJwt, importSPKI, jwtVerify } from 'jose'
import type { FakeServerEnv } from '../http-server.ts'
import type { GitHubState, Grant } from './state.ts'
import type { Access, GitHubApp, Permissions, Repository } from './types.ts'

const RANK: Record<Access, number> = { none: 0, read: 1, write: 2 }

/** Returns the grant for `Authorization: token …` or `Bearer …`. @throws HTTPException with GitHub's refusal */
export function authenticate(state: GitHubState, authorization: string | undefined): Grant {
  const token = bearer(authorization)
  if (!token) throw refusal(401, 'Requires authentication')
  const grant = state.grants.get(token)
  if (!grant || (grant.expiresAt ?? Number.POSITIVE_INFINITY) <= Date.now())
    throw refusal(401, 'Bad credentials')
  return grant
}

/** Returns a grant's permissions in a repository: for each permission, the lower of the token's and the repository's level. */
export function permissionsIn(grant: Grant, repository: Repository): Required<Permissions> {
  const lower = (name: keyof Permissions): Access => {
    const theirs = grant.permissions ? (grant.permissions[name] ?? 'none') : 'write'
    const here = grant.kind === 'personal' ? (repository.permissions[name] ?? 'none') : 'write'
    return RANK[theirs] < RANK[here] ? theirs : here
  }
  return {
    ...{ actions: lower('actions'), checks: grant.isFineGrained ? 'none' : lower('checks') },
    ...{ contents: lower('contents'), metadata: 'read' },
  }
}

/** Returns the request's repository. @throws HTTPException with GitHub's 404 or 403, if the grant lacks a permission */
export function openRepository(
  state: GitHubState,
  c: Context<GitHubEnv>,
  needs?: ['actions' | 'checks' | 'contents', Access],
): Repository {
  const { grant } = c.var
  const fullName = `${c.req.param('owner')}/${c.req.param('repo')}`
  const repository = state.repositories.get(fullName.toLowerCase())
  const listed =
    !grant.repositories || grant.repositories.some(name => name.toLowerCase() === fullName.toLowerCase())
  // To a token without access, the repository seems not to exist.
  if (!repository || !listed) throw refusal(404, 'Not Found')
  if (!needs) return repository
  const [name, access] = needs
  if (RANK[permissionsIn(grant, repository)[name]] >= RANK[access]) return repository
  const whose = grant.kind === 'personal' ? 'personal access token' : 'integration'
  throw refusal(403, `Resource not accessible by ${whose}`, undefined, {
    'x-accepted-github-permissions': `${name}=${access}`,
  })
}

/**
 * Returns the App that signed this JWT (RS256, `iss` is the App's id or client id, valid for at most ten minutes).
 *
 * @throws HTTPException with GitHub's refusal
 */
export async function authenticateApp(
  state: GitHubState,
  authorization: string | undefined,
): Promise<GitHubApp> {
  const token = bearer(authorization) ?? ''
  const { iss } = readJwt(token)
  if (iss !== undefined && !state.apps.some(app => isIssuer(app, iss)))
    throw refusal(404, 'Integration not found')
  for (const app of state.apps) {
    const key = await importSPKI(app.publicKey, 'RS256')
    const options = { algorithms: ['RS256'], requiredClaims: ['iat', 'exp'] }
    const { payload } = (await jwtVerify(token, key, options).catch(() => null)) ?? {}
    // Octokit sends a numeric `iss` as a number. GitHub accepts the number, although the standard requires a string.
    if (!payload || !isIssuer(app, payload.iss)) continue
    if (payload.exp! - Date.now() / 1000 > 600)
      throw refusal(401, "'Expiration time' claim ('exp') is too far in the future")
    return app
  }
  throw refusal(401, 'A JSON web token could not be decoded')
}

const isIssuer = (app: GitHubApp, iss: unknown) => [String(app.id), app.clientId].includes(String(iss))

function readJwt(token: string): { iss?: unknown } {
  try {
    return decodeJwt(token)
  } catch {
    return {}
  }
}

const bearer = (authorization = '') => /^(?:token|bearer) (\S+)$/i.exec(authorization)?.[1]

const DOCS = 'https://docs.github.com/rest'
export const DISPATCH_DOCS = `${DOCS}/repos/repos#create-a-repository-dispatch-event`
const LIMIT_DOCS = `${DOCS}/using-the-rest-api/rate-limits-for-the-rest-api`

/** The body of GitHub's errors. */
function errorBody(status: number, message: string, docs = DOCS): Record<string, string> {
  return { message, documentation_url: docs, status: String(status) }
}

export function refuse(
  status: number,
  message: string,
  docs?: string,
  headers?: Record<string, string>,
): Response {
  return Response.json(errorBody(status, message, docs), { status, headers })
}

/** A refusal to throw. */
export const refusal = (...given: Parameters<typeof refuse>) =>
  new HTTPException(given[0] as 401, { res: refuse(...given) })

/** Returns GitHub's error response for the first mistake in a request's body. */
export function invalidRequest(errors: ErrorObject[], docs: string): Response {
  const words = errors.map(inWords)
  return refuse(422, `Invalid request.\n\n${words.join('\n')}`, docs)
}

function inWords({ keyword, params, instancePath, data, message }: ErrorObject): string {
  const size = typeof data === 'string' ? data.length : Object.keys((data as object | undefined) ?? {}).length
  const place = instancePath === '' ? 'links/0/schema' : `properties${instancePath}`
  switch (keyword) {
    case 'required':
      return `"${params.missingProperty}" wasn't supplied.`
    case 'maxProperties':
      return `No more than ${params.limit} properties are allowed; ${size} were supplied.`
    case 'maxLength':
      return `Only ${params.limit} characters are allowed; ${size} were supplied.`
    case 'minLength':
      return `At least ${params.limit} character is required; ${size} were supplied.`
    case 'additionalProperties':
      return `"${params.additionalProperty}" is not a permitted key.`
    case 'type':
      return `For '${place}', ${JSON.stringify(data) ?? 'nil'} is not ${params.type === 'string' ? 'a' : 'an'} ${params.type}.`
    default:
      return `For '${place}', ${message}.`
  }
}

/** Rate-limit response bodies and headers, from GitHub's documentation. */
export const limits = {
  secondary: (requestId: string) =>
    errorBody(
      403,
      `You have exceeded a secondary rate limit. Please wait a few minutes before you try again. If you reach out to GitHub Support for help, please include the request ID ${requestId}.`,
      `${LIMIT_DOCS}#about-secondary-rate-limits`,
    ),
  primary: () =>
    errorBody(403, 'API rate limit exceeded for user ID 583231.', `${LIMIT_DOCS}#about-primary-rate-limits`),
  tooMany: () => errorBody(429, 'API rate limit exceeded for user ID 583231.', LIMIT_DOCS),
}

/** Generates an `x-github-request-id`. */
export function requestId(): string {
  const hex = randomUUID().replaceAll('-', '').toUpperCase()
  return [hex.slice(0, 4), hex.slice(4, 10), hex.slice(10, 18), hex.slice(18, 26)].join(':')
}

/** Returns the body and headers of GitHub's response for an injected status. */
export function failureResponse(status: number): { body: unknown; headers: Record<string, string> } {
  const words: Record<number, string> = { 401: 'Bad credentials', 404: 'Not Found', 500: 'Server Error' }
  const body = status === 429 ? limits.tooMany() : errorBody(status, words[status] ?? 'Service unavailable')
  return { body, headers: { 'x-github-request-id': requestId() } }
}

/** A route's context: who sent the request. */
export type GitHubEnv = {
  /** `forwarded`: the request used the repository's id. */
  Bindings: FakeServerEnv['Bindings'] & { forwarded?: FakeServerEnv['Variables'] }
  Variables: FakeServerEnv['Variables'] & { grant: Grant }
}
