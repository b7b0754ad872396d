import type { Context, Hono } from 'hono'

const TITLES = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
} as const

export type ProblemStatus = keyof typeof TITLES
type Fields = Record<string, string>

export const PROBLEM_STATUSES = Object.keys(TITLES).map(Number)

/** A refusal to show to users. `detail` states what failed, on what, and what to change, without secrets. */
export class Problem extends Error {
  readonly status: ProblemStatus
  readonly headers: Fields
  readonly members: object
  constructor(status: ProblemStatus, detail: string, headers: Fields = {}, members: object = {}) {
    // A stack trace would take a twelfth of a flooded relay's CPU time, and refusals never show it.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    super(detail)
    Error.stackTraceLimit = stackTraceLimit
    this.name = 'Problem'
    this.status = status
    this.headers = headers
    this.members = members
  }
}

const LONGEST_REASON = 500

export const refusalOf = (error: Error | undefined): string =>
  error instanceof Problem ? error.message.slice(0, LONGEST_REASON) : 'an error inside the relay'

/** Problem details (RFC 9457). */
export function sendProblem(c: Context, problem: Problem): Response {
  return c.json(problemDetails(problem), problem.status, { ...PROBLEM_TYPE, ...problem.headers })
}

export const PROBLEM_TYPE = { 'content-type': 'application/problem+json' }

export function problemDetails({ status, message, members }: Problem): object {
  return { type: 'about:blank', title: TITLES[status], status, detail: message, ...members }
}

/** Refuses other methods on these paths. @param allow such as `GET, HEAD` */
export function refuseOthers(app: Hono, paths: string[], allow: string, sentence: string): void {
  for (const path of paths) {
    app.all(path, () => {
      throw new Problem(405, sentence, { allow })
    })
  }
}
