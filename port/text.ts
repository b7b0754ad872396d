import { stripVTControlCharacters } from 'node:util'
import type { Json } from './types.ts'

/** What ends a title, a link and other sequences of any length. */
const ENDS = ['\x07', '\x1b\\', '\x9c']

/** A line without ANSI codes, a terminal's colours and commands. */
export function stripAnsiCodes(line: string): string {
  const last = Math.max(...ENDS.map(mark => line.lastIndexOf(mark)))
  const end = last + (line[last] === '\x1b' ? 2 : 1)
  // For each beginning Node's function looks for an end through the whole text: what has none goes to it in pieces.
  const rest = line.slice(end).split(/(?=[\x1b\x9b])/)
  return [line.slice(0, end), ...rest].map(stripVTControlCharacters).join('')
}

/** The text without any of these characters at its end. In linear time, which `/x+$/` does not have. */
export function trimEnd(text: string, characters: string): string {
  let end = text.length
  while (end > 0 && characters.includes(text[end - 1]!)) end--
  return text.slice(0, end)
}

/** What a JSON text holds; undefined where the text is no JSON. */
export function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Whether a host is this machine: what is sent there leaves it for no network. @param hostname of a `URL` */
export const isLoopback = (hostname: string): boolean =>
  /^(127\.[\d.]+|\[::1\]|(.+\.)?localhost)$/.test(hostname)
