import { randomUUID } from 'node:crypto'
import type { ErrorObject } from 'ajv'

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

/** The words for the first thing that is wrong with a request's body, as GitHub puts them. */
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

/** Bodies and headers of the limits, from GitHub's page on rate limits. */
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

/** As `x-github-request-id` looks. */
export function requestId(): string {
  const hex = randomUUID().replaceAll('-', '').toUpperCase()
  return [hex.slice(0, 4), hex.slice(4, 10), hex.slice(10, 18), hex.slice(18, 26)].join(':')
}

/** What GitHub answers with a status that a trouble asks for. */
export function troubleAnswer(status: number): { body: unknown; headers: Record<string, string> } {
  const words: Record<number, string> = { 401: 'Bad credentials', 404: 'Not Found', 500: 'Server Error' }
  const body = status === 429 ? limits.tooMany() : errorBody(status, words[status] ?? 'Service unavailable')
  return { body, headers: { 'x-github-request-id': requestId() } }
}
