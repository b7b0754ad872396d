import { RequestError } from '@octokit/request-error'
import { cleanText } from '../../port/text.ts'
import type { Json } from '../../port/types.ts'

/** Whether a response isn't from GitHub's API, which responds with JSON. Proxies and GitHub's front end send HTML pages. */
export const isForeign = (data: unknown) =>
  typeof data !== 'object' || data === null || data instanceof ArrayBuffer

export const foreignReason = (status: number) =>
  `something between the relay and GitHub responded with ${status}`

/** Throws an error if the expected contents of GitHub's response are missing. */
export function mustBeGitHub(isThere: boolean): void {
  if (!isThere) throw new Error(foreignReason(200))
}

export const readMessage = (data: unknown): string =>
  cleanText(rawMessage(data), MAX_MESSAGE) || 'no reason given'

export function rawMessage(data: unknown): string {
  const text = (data as { message?: unknown } | null | undefined)?.message
  return typeof text === 'string' ? text : ''
}

/** Returns " See " and the documentation URL in a refusal; empty if the refusal contains no URL. */
export function readDocumentation(data: unknown): string {
  const url = (data as { documentation_url?: unknown } | null | undefined)?.documentation_url
  return typeof url === 'string' && URL.canParse(url) ? ` See ${cleanText(url)}` : ''
}

/** Hides the values that the relay sent, and parts of these values, in GitHub's message, because the values can be secret. */
export function withoutValues(message: string, sent: Json): string {
  const values = [...new Set(textsIn(sent).flatMap(formsOf))]
  return values
    .toSorted((a, b) => b.length - a.length)
    .reduce((text, value) => (value.length > 2 ? text.replaceAll(value, '***') : text), message)
    .replace(/(["'`])((?:(?!\1).)+)\1/gs, (quotation, mark: string, text: string) =>
      values.some(value => value.includes(text)) ? `${mark}***${mark}` : quotation,
    )
}

const formsOf = (text: string) => [text, cleanText(text, MAX_MESSAGE), JSON.stringify(text).slice(1, -1)]

function textsIn(value: Json): string[] {
  if (typeof value !== 'object') return [String(value)]
  return Object.values(value ?? {}).flatMap(textsIn)
}

/** The id with which GitHub's support can find the request. */
export type ResponseId = { status: number; requestId: string | null }

export function responseId(status: number, headers: Record<string, string | number | undefined>): ResponseId {
  const id = headers['x-github-request-id']
  return { status, requestId: typeof id === 'string' ? cleanText(id, MAX_ID) : null }
}

const MAX_ID = 100

/** Returns GitHub's response from an error or from the error's cause; undefined if GitHub didn't respond. */
export function findResponse(error: unknown): RequestError['response'] {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (each instanceof RequestError) return each.response
  }
  return undefined
}

/** The maximum length of a message. No message of GitHub is that long. */
export const MAX_MESSAGE = 4_000
