import { base64Forms } from './secret-forms.ts'

/** A line `{` or a value `1` would mask most of the log; a secret of its own is masked at any length. */
const SHORTEST_PART = 4

/**
 * All that must be masked of one secret: its lines, and where it is JSON, each text and number inside it.
 *
 * A text of several lines is not among them as a whole: the runner masks each line of what it is given, also a
 * line that holds no more than a bracket. So the runner does not know the Base64 of the whole either, as it does of a
 * secret of one line, and is given that.
 *
 * @see https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#masking-a-value-in-a-log
 * @see https://github.com/actions/runner/blob/main/src/Runner.Worker/ActionCommandManager.cs (AddMaskCommandExtension)
 */
export function maskParts(secret: string): string[] {
  const whole = linesOf(secret)
  const inside = valuesIn(secret)
  const encoded = [secret, ...inside].filter(text => linesOf(text).length > 1).flatMap(encode)
  const long = [...whole, ...inside.flatMap(linesOf)].filter(isLong)
  // A secret of short lines alone is masked all the same, but for brackets and the like.
  const short = whole.length === 1 ? whole : long.length > 0 ? [] : whole.filter(hasWord)
  return [...new Set([...short, ...long, ...encoded])]
}

/** Of its forms those that others begin with, whatever comes after the text. */
function encode(text: string): string[] {
  const forms = base64Forms(text.trim())
  return forms.filter(form => !forms.some(other => other !== form && form.startsWith(other)))
}

const hasWord = (part: string) => /[\p{L}\p{N}]/u.test(part)
const isLong = (part: string) => part.length >= SHORTEST_PART
const linesOf = (text: string) =>
  text
    .split(/[\r\n]+/)
    .map(line => line.trim())
    .filter(line => line !== '')

/** The texts and numbers inside JSON; a number as it stands there, and as whoever reads it may print it. */
function valuesIn(text: string): string[] {
  const found: string[] = []
  const keep = (_: string, value: unknown) => {
    if (typeof value === 'string') found.push(value)
    return value
  }
  try {
    JSON.parse(text, keep)
  } catch {
    return []
  }
  // As they stand there: what is parsed may have lost digits.
  const numbers = outsideStrings(text).match(/-?\d[\d.eE+-]*/g) ?? []
  return [...found, ...numbers.flatMap(number => [number, String(Number(number))])]
}

/** Valid JSON without its strings. */
function outsideStrings(json: string): string {
  let rest = ''
  let inString = false
  for (let i = 0; i < json.length; i++) {
    const char = json[i]
    if (char === '"') inString = !inString
    else if (inString && char === '\\') i++
    if (!inString) rest += char === '"' ? ' ' : char
  }
  return rest
}
