import { RequestError } from '@octokit/request-error'
import { cleanText } from './clean-text.ts'

/** GitHub's API answers in JSON; a proxy in between, or GitHub's front end, answers with pages. */
export const isForeign = (data: unknown) =>
  typeof data !== 'object' || data === null || data instanceof ArrayBuffer

/** Throws where what is read of an answer is not there: what has answered is not GitHub. */
export function mustBeGitHub(isThere: boolean): void {
  if (!isThere) throw new Error('something between the relay and GitHub answered 200')
}

/** The message in the body of a refusal, to be shown. */
export const readMessage = (data: unknown): string => cleanText(rawMessage(data)) || 'no reason given'

/** The message in the body of a refusal, as it arrived. */
export function rawMessage(data: unknown): string {
  const text = (data as { message?: unknown } | null | undefined)?.message
  return typeof text === 'string' ? text : ''
}

/** Identifies one of GitHub's answers: its support can look the request up. */
export interface AnswerId {
  status: number
  requestId: string | null
}

/** @param headers as Octokit gives them */
export function answerId(status: number, headers: Record<string, string | number | undefined>): AnswerId {
  const id = headers['x-github-request-id']
  return { status, requestId: typeof id === 'string' ? cleanText(id, MAX_ID) : null }
}

const MAX_ID = 100

/** GitHub's answer that caused an error, directly or as its cause; undefined where there was none. */
export function findResponse(error: unknown): RequestError['response'] {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (each instanceof RequestError) return each.response
  }
  return undefined
}
