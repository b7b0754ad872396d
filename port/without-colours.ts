import { stripVTControlCharacters } from 'node:util'

/** More than is told of any line: Node's function takes time by the square where a sequence never ends. */
const MOST = 16_000

/** A line without a terminal's colours and commands. */
export const withoutColours = (line: string): string =>
  stripVTControlCharacters(line.slice(0, MOST)) + line.slice(MOST)
