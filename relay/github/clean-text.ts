import { stripAnsiCodes } from '../../port/strip-ansi-codes.ts'

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
