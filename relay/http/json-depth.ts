import { BOUNDS } from '../config/bounds.ts'

/** GitHub's own JSON parser stops at 100; the client payload adds a few levels of its own. */
export const MAX_DEPTH = BOUNDS.jsonDepth.value

/** How deep valid JSON is nested, without recursion. */
export function jsonDepth(json: Uint8Array): number {
  let level = 0
  let deepest = 0
  let inString = false
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]
    if (inString) {
      if (byte === 0x5c) i++
      else if (byte === 0x22) inString = false
    } else if (byte === 0x22) inString = true
    else if (byte === 0x7b || byte === 0x5b) deepest = Math.max(deepest, ++level)
    else if (byte === 0x7d || byte === 0x5d) level--
  }
  return deepest
}
