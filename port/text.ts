import { stripVTControlCharacters } from 'node:util'
import type { Json } from './types.ts'

const ENDS = ['\x07', '\x1b\\', '\x9c']

export function stripAnsiCodes(line: string): string {
  const last = Math.max(...ENDS.map(mark => line.lastIndexOf(mark)))
  const end = last + (line[last] === '\x1b' ? 2 : 1)
  // The text is split before each sequence, because Node's function would search all following text for a terminator.
  const rest = line.slice(end).split(/(?=[\x1b\x9b])/)
  return [line.slice(0, end), ...rest].map(stripVTControlCharacters).join('')
}

/** Replaces ANSI codes, control characters, line breaks, and formatting characters, so that a terminal shows the text as one line. */
const toLine = (text: string): string =>
  stripAnsiCodes(text)
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ' ')
    // These characters reorder or hide the text next to them.
    .replace(/[\u200b\p{Bidi_Control}\u2060-\u2069\ufeff\p{Cs}]/gu, '')

/**
 * Cleans a line that contains values from other systems or files. In GitHub's log, the result is never a workflow
 * command.
 * @see https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
 */
export const cleanLine = (line: string): string =>
  toLine(line)
    .replace(/^(\s*):(?=:)/, '$1: ')
    .replace(/##(?=\[)/g, '# #')

/** The default length limit of {@link cleanText}. */
const MAX_LENGTH = 300

/**
 * Turns a name or message from GitHub into one line of limited length for logs, Port, and terminals. Anyone with write
 * access can put control characters and line breaks into names and messages.
 */
export function cleanText(text: string, maxLength = MAX_LENGTH): string {
  const read = text.slice(0, 4 * maxLength)
  const line = toLine(read).replace(/ +/g, ' ').trim()
  const isCut = line.length > maxLength || text.length > read.length
  return isCut ? `${line.slice(0, maxLength - 1).toWellFormed()}…` : line
}

/** Whether {@link cleanText} has shortened a text to the default length. */
export const isCut = (cleaned: string) => cleaned.length === MAX_LENGTH && cleaned.endsWith('…')

/** Removes these characters from the end of the text, in linear time (`/x+$/` can take quadratic time). */
export function trimEnd(text: string, characters: string): string {
  let end = text.length
  while (end > 0 && characters.includes(text[end - 1]!)) end--
  return text.slice(0, end)
}

/** Returns the value of a JSON text; undefined if the text isn't JSON. */
export function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Whether a hostname is this machine's, so that requests to this hostname never reach a network. @param hostname from a `URL` */
export const isLoopback = (hostname: string): boolean =>
  /^(127\.[\d.]+|\[::1\]|(.+\.)?localhost)$/.test(hostname)

/** Formats milliseconds for users: `0.4 s`, `42 s`, `1 min 3 s`, `2 h 5 min`, `2 h`. */
export function duration(ms: number): string {
  if (ms < 950) return `${Math.round(ms / 100) / 10} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60
    ? units([minutes, 'min'], [seconds % 60, 's'])
    : units([Math.floor(minutes / 60), 'h'], [minutes % 60, 'min'])
}

const units = (...parts: [number, string][]) =>
  parts
    .filter(([count]) => count > 0)
    .map(part => part.join(' '))
    .join(' ')
