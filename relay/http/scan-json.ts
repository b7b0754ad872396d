import { BOUNDS } from '../config/bounds.ts'

/** GitHub's own JSON parser stops at 100; the client payload adds a few levels of its own. */
export const MAX_DEPTH = BOUNDS.jsonDepth.value

/** Fewer digits are no number above 1.8e308, unless they have an exponent. */
const MANY_DIGITS = 200

/** What valid JSON looks like from outside of its strings; without recursion, and no string is decoded. */
export function scanJson(json: Uint8Array): {
  /** How deep it is nested. */
  depth: number
  /** How many keys its objects have in all. */
  keys: number
  /** Whether a number has an exponent or very many digits: no other one may be infinite. */
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
    // The point of a number.
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
