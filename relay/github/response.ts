import { RequestError } from '@octokit/request-error'
import { stripAnsiCodes } from '../../port/text.ts'

/** GitHub's API responds with JSON; a proxy in between, or GitHub's front end, responds with pages. */
export const isForeign = (data: unknown) =>
  typeof data !== 'object' || data === null || data instanceof ArrayBuffer

/** Why a response isn't GitHub's, as a clause. */
export const foreignReason = (status: number) =>
  `something between the relay and GitHub responded with ${status}`

/** Throws if a response lacks what GitHub's has: it's from something else. */
export function mustBeGitHub(isThere: boolean): void {
  if (!isThere) throw new Error(foreignReason(200))
}

/** The message in the body of a refusal, to be shown. */
export const readMessage = (data: unknown): string => cleanText(rawMessage(data)) || 'no reason given'

/** The message in the body of a refusal, as it arrived. */
export function rawMessage(data: unknown): string {
  const text = (data as { message?: unknown } | null | undefined)?.message
  return typeof text === 'string' ? text : ''
}

/** The page that GitHub names for a refusal, in parentheses; empty if it names none. */
export function readDocumentation(data: unknown): string {
  const url = (data as { documentation_url?: unknown } | null | undefined)?.documentation_url
  return typeof url === 'string' && URL.canParse(url) ? ` See ${cleanText(url)}` : ''
}

/** Identifies one of GitHub's responses: GitHub's support can find the request by it. */
export interface ResponseId {
  status: number
  requestId: string | null
}

/** @param headers as Octokit gives them */
export function responseId(status: number, headers: Record<string, string | number | undefined>): ResponseId {
  const id = headers['x-github-request-id']
  return { status, requestId: typeof id === 'string' ? cleanText(id, MAX_ID) : null }
}

const MAX_ID = 100

/** GitHub's response that caused an error, directly or as its cause; undefined if there was none. */
export function findResponse(error: unknown): RequestError['response'] {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (each instanceof RequestError) return each.response
  }
  return undefined
}

const MAX_LENGTH = 300
/** How much of a longer text is read: enough to fill the result, ANSI codes included. */
const MAX_READ = 4 * MAX_LENGTH

/**
 * A name or message from GitHub as one line of text, for logs, Port, and terminals: without ANSI codes, control and
 * formatting characters, and line breaks, and cut to a length. Anyone with write access to a repository can set one.
 */
export function cleanText(text: string, maxLength = MAX_LENGTH): string {
  const line = stripAnsiCodes(text.slice(0, MAX_READ))
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ' ')
    // Characters that reorder or hide the text next to them.
    .replace(/[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\p{Cs}]/gu, '')
    .replace(/ +/g, ' ')
    .trim()
  const isCut = line.length > maxLength || text.length > MAX_READ
  return isCut ? `${line.slice(0, maxLength - 1).toWellFormed()}…` : line
}

/** Whether {@link cleanText} has cut a text to its usual length. */
export const isCut = (cleaned: string) => cleaned.length === MAX_LENGTH && cleaned.endsWith('…')
