import { jsonDepth, MAX_DEPTH } from '../json-depth.ts'
import { Problem } from '../problem.ts'

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
  if (jsonDepth(body) > MAX_DEPTH) {
    throw new Problem(400, `The body is nested more than ${MAX_DEPTH} levels deep, more than GitHub takes.`)
  }
  return value
}
