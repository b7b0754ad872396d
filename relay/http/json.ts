import { LIMITS } from '../config/limits.ts'
import { Problem } from './problem.ts'

/**
 * Parses a JSON body.
 *
 * @param advice how the sender can fix the error, as clauses that follow a colon
 * @param maxKeys maximum number of keys in all objects of the body
 * @throws Problem 400 if it isn't JSON in UTF-8, is nested too deeply, or contains a number that is too large; 422 if
 * it has too many keys
 */
export function readJson(
  body: Uint8Array,
  advice: { notJson: string; tooDeep: string },
  maxKeys = Number.POSITIVE_INFINITY,
): unknown {
  const { depth, keys, mayOverflow } = scanJson(body)
  if (keys > maxKeys) {
    throw new Problem(422, `The body has more than ${maxKeys} keys: send fewer, or a part of it as text.`)
  }
  let value: unknown
  try {
    value = JSON.parse(utf8.decode(body))
  } catch {
    throw new Problem(400, `The body is not JSON in UTF-8: ${advice.notJson}.`)
  }
  if (depth > MAX_DEPTH) {
    throw new Problem(400, `The body is nested more than ${MAX_DEPTH} levels deep: ${advice.tooDeep}.`)
  }
  if (mayOverflow) refuseInfinite(value, '')
  return value
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** JSON would turn Infinity into null, so the workflow's input would differ from the signed value. */
function refuseInfinite(value: unknown, key: string | number): void {
  if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) {
    const where = key === '' ? '' : ` at ${JSON.stringify(String(key))}`
    throw new Problem(
      400,
      `The number${where} is larger than 1.8e308, the largest number that JSON parsers represent: send it as text.`,
    )
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) refuseInfinite(value[i], i)
    return
  }
  if (typeof value !== 'object' || value === null) return
  for (const [name, each] of Object.entries(value)) refuseInfinite(each, name)
}

/** GitHub's JSON parser stops at 100 levels. The client payload adds a few levels. */
const MAX_DEPTH = LIMITS.jsonDepth.value

/** A number with fewer digits can't exceed 1.8e308, unless it has an exponent. */
const MANY_DIGITS = 200

/** Measures valid JSON outside its strings, without recursion or decoding strings. */
function scanJson(json: Uint8Array): {
  /** Maximum nesting depth. */
  depth: number
  /** Number of keys in all objects. */
  keys: number
  /** Whether a number has an exponent or so many digits that it could be infinite. */
  mayOverflow: boolean
} {
  let level = 0
  let depth = 0
  let keys = 0
  let digits = 0
  let mayOverflow = false
  for (let i = 0; i < json.length; i++) {
    const byte = json[i] as number
    if (byte >= 0x30 && byte <= 0x39) {
      if (++digits >= MANY_DIGITS) mayOverflow = true
      continue
    }
    // Skips the decimal point.
    if (byte === 0x2e) continue
    if (digits > 0 && (byte === 0x65 || byte === 0x45)) mayOverflow = true
    digits = 0
    if (byte === 0x22) {
      for (i++; i < json.length && json[i] !== 0x22; i++) if (json[i] === 0x5c) i++
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++level > depth) depth = level
    } else if (byte === 0x7d || byte === 0x5d) level--
    else if (byte === 0x3a) keys++
  }
  return { depth, keys, mayOverflow }
}
