import { STATUS_CODES } from 'node:http'
import type { Context } from 'hono'
import { LIMITS } from '../config/limits.ts'

export const PROBLEM_STATUSES = [
  400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 429, 500, 502, 503,
] as const
export type ProblemStatus = (typeof PROBLEM_STATUSES)[number]
type Fields = Record<string, string>

/** A refusal, which the sender sees. `detail` says what failed and what to change, without secrets. */
export class Problem extends Error {
  readonly status: ProblemStatus
  readonly headers: Fields
  readonly members: object
  constructor(status: ProblemStatus, detail: string, headers: Fields = {}, members: object = {}) {
    // Refusals have no stack trace, because in a flooded relay, creating stack traces would take a twelfth of the CPU time.
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

export const refusalOf = (error: Error | undefined): string =>
  error instanceof Problem ? error.message.slice(0, LIMITS.reason) : 'an error inside the relay'

/** Responds with problem details (RFC 9457). */
export function sendProblem(c: Context, problem: Problem): Response {
  return c.json(problemDetails(problem), problem.status, { ...PROBLEM_TYPE, ...problem.headers })
}

export const PROBLEM_TYPE = { 'content-type': 'application/problem+json' }

export function problemDetails({ status, message, members }: Problem): object {
  return { type: 'about:blank', title: STATUS_CODES[status], status, detail: message, ...members }
}
