import type { Context } from 'hono'

const TITLES = {
  400: 'Bad request',
  401: 'Not authenticated',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Request timeout',
  409: 'Conflict',
  410: 'Ended',
  413: 'Body too large',
  415: 'Unsupported media type',
  422: 'Cannot be dispatched',
  429: 'Too many requests',
  500: 'Internal error',
  502: 'GitHub rejected',
  503: 'Try again later',
} as const

export type ProblemStatus = keyof typeof TITLES

/** Every status that a refusal may have. */
export const PROBLEM_STATUSES = Object.keys(TITLES).map(Number)

/** A refusal that a person reads: `detail` names what failed, on what, and what to change. It holds no secret. */
export class Problem extends Error {
  readonly status: ProblemStatus
  readonly headers: Record<string, string>
  constructor(status: ProblemStatus, detail: string, headers: Record<string, string> = {}) {
    super(detail)
    this.name = 'Problem'
    this.status = status
    this.headers = headers
  }
}

const LONGEST_REASON = 500

/** Why a request was refused, for the log. */
export const refusalOf = (error: Error | undefined): string =>
  error instanceof Problem ? error.message.slice(0, LONGEST_REASON) : 'an error inside the relay'

/** Problem details, RFC 9457. */
export function answerProblem(c: Context, problem: Problem): Response {
  return c.json(problemDetails(problem), problem.status, { ...PROBLEM_TYPE, ...problem.headers })
}

export const PROBLEM_TYPE = { 'content-type': 'application/problem+json' }

/** The body of problem details. */
export function problemDetails({ status, message }: Problem): object {
  return { type: 'about:blank', title: TITLES[status], status, detail: message }
}
