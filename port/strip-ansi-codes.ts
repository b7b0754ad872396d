import { stripVTControlCharacters } from 'node:util'

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
