import { RequestError } from '@octokit/request-error'
import { stripAnsiCodes } from '../../port/text.ts'

/** GitHub's API answers in JSON; a proxy in between, or GitHub's front end, answers with pages. */
export const isForeign = (data: unknown) =>
  typeof data !== 'object' || data === null || data instanceof ArrayBuffer

/** Throws where what is read of an answer is not there: what has answered is not GitHub. */
export function mustBeGitHub(isThere: boolean): void {
  if (!isThere) throw new Error('something between the relay and GitHub responded with 200')
}

/** The message in the body of a refusal, to be shown. */
export const readMessage = (data: unknown): string => cleanText(rawMessage(data)) || 'no reason given'

/** The message in the body of a refusal, as it arrived. */
export function rawMessage(data: unknown): string {
  const text = (data as { message?: unknown } | null | undefined)?.message
  return typeof text === 'string' ? text : ''
}

/** Identifies one of GitHub's answers: its support can look the request up. */
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

/** GitHub's answer that caused an error, directly or as its cause; undefined where there was none. */
export function findResponse(error: unknown): RequestError['response'] {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (each instanceof RequestError) return each.response
  }
  return undefined
}

const MAX_LENGTH = 300
/** What is looked at of a longer text: enough to fill what is kept, ANSI codes included. */
const MAX_READ = 4 * MAX_LENGTH

/**
 * A name or message of GitHub's as one line of text, for logs, Port and terminals: without ANSI codes, control and
 * formatting characters and line breaks, and cut to a length. Anyone with write access to a repository may set one.
 */
export function cleanText(text: string, maxLength = MAX_LENGTH): string {
  const line = stripAnsiCodes(text.slice(0, MAX_READ))
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ' ')
    // Characters that reorder or hide what stands beside them.
    .replace(/[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\p{Cs}]/gu, '')
    .replace(/ +/g, ' ')
    .trim()
  const isCut = line.length > maxLength || text.length > MAX_READ
  return isCut ? `${line.slice(0, maxLength - 1).toWellFormed()}…` : line
}

/** Whether {@link cleanText} has cut a text to its usual length. */
export const isCut = (cleaned: string) => cleaned.length === MAX_LENGTH && cleaned.endsWith('…')

const MAX_LINES = 100
const MAX_LINE = 1_000
/** What is read of a line with its ANSI codes. */
const MAX_PART = 4_000
/** What GitHub puts before each line of a job's log. */
const TIME = /^\uFEFF?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) ?/
/** The runner's commands as a log shows them: `##[error]…`, or `::add-mask::…` where a step printed one. */
const MASKING = /(?:##\[|::)\s*add-mask/i

/**
 * The last lines of a job's log, made for reading: no times, no ANSI codes, no runner commands. GitHub's `***`, where
 * a secret was, becomes `[masked]`, and a line that registers a secret is left out.
 *
 * @param until what came later is left out: the clean-up after the step that failed, milliseconds since 1970
 */
export function cleanLog(text: string, until: number | null): string[] {
  const lines: { at: number; raw: string }[] = []
  let at = 0
  for (const raw of text.split(/\r?\n/)) {
    const time = TIME.exec(raw)
    if (time) at = Date.parse(time[1] as string)
    lines.push({ at, raw: time ? raw.slice(time[0].length) : raw })
  }
  // GitHub gives the end of a step in whole seconds.
  const within = until === null ? lines : lines.filter(line => line.at < until + 1000)
  return lastLines(within) ?? lastLines(lines) ?? []
}

/** From the end, and no more than is kept; null where none is. */
function lastLines(lines: readonly { raw: string }[]): string[] | null {
  const kept: string[] = []
  for (let i = lines.length - 1; i >= 0 && kept.length < MAX_LINES; i--) {
    const line = clean((lines[i] as { raw: string }).raw)
    if (line !== null && (line !== '' || kept.length > 0)) kept.push(line)
  }
  return kept.length > 0 ? kept.reverse() : null
}

function clean(raw: string): string | null {
  // What a terminal would have shown: after a carriage return the line begins anew.
  let shown = ''
  for (let end = raw.length; shown === '' && end > 0; end = raw.lastIndexOf('\r', end - 1)) {
    const part = raw.slice(raw.lastIndexOf('\r', end - 1) + 1, end)
    shown = stripAnsiCodes(part.slice(0, MAX_PART))
  }
  if (MASKING.test(shown) || /^##\[endgroup\]/.test(shown)) return null
  const text = shown
    .replace(/^##\[(error|warning)\]/, (_, word: string) => `${word === 'error' ? 'Error' : 'Warning'}: `)
    .replace(/^##\[\w+\]/, '')
    .replace(/[\p{Cc}\p{Cs}]/gu, char => (char === '\t' ? '  ' : ''))
    .replaceAll(/\*{3,}/g, '[masked]')
    .trimEnd()
  return text.length <= MAX_LINE ? text : `${text.slice(0, MAX_LINE).toWellFormed()}… (cut)`
}
