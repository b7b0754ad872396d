import { isObject, type Json } from '../port/json.ts'

/** A line `{` or a value `1` would blacken the whole log; a secret of its own is masked at any length. */
const SHORTEST_PART = 4

/**
 * All that must be masked of one secret: its lines, and where it is JSON, each text and number inside it.
 *
 * A text of several lines is not among them as a whole: the runner masks each line of what it is given, also a
 * line that holds no more than a bracket.
 *
 * @see https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#masking-a-value-in-a-log
 */
export function maskParts(secret: string): string[] {
  const whole = linesOf(secret)
  const inside = valuesOf(parse(secret)).flatMap(linesOf)
  const parts =
    whole.length === 1 ? [...whole, ...inside.filter(isLong)] : [...whole, ...inside].filter(isLong)
  return [...new Set(parts)]
}

const isLong = (part: string) => part.length >= SHORTEST_PART
const linesOf = (text: string) =>
  text
    .split(/[\r\n]+/)
    .map(line => line.trim())
    .filter(line => line !== '')

function valuesOf(value: Json): string[] {
  if (Array.isArray(value)) return value.flatMap(valuesOf)
  if (isObject(value)) return Object.values(value).flatMap(valuesOf)
  return typeof value === 'string' || typeof value === 'number' ? [String(value)] : []
}

function parse(text: string): Json {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
