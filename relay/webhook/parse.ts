import { Problem } from '../problem.ts'

/** GitHub's own JSON parser stops at 100; the client payload adds a few levels of its own. */
const MAX_DEPTH = 90

/**
 * The body as JSON; an empty one is undefined.
 *
 * @throws Problem 400 for what is not JSON in UTF-8, or nested too deeply
 */
export function parseBody(body: Uint8Array): unknown {
  if (body.length === 0) return undefined
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    throw new Problem(
      400,
      'The body is not JSON in UTF-8: check the "body" of the Port action\'s invocation method.',
    )
  }
  if (depth(body) > MAX_DEPTH) {
    throw new Problem(400, `The body is nested more than ${MAX_DEPTH} levels deep, more than GitHub takes.`)
  }
  return value
}

/** How deep valid JSON is nested, without recursion. */
function depth(json: Uint8Array): number {
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
