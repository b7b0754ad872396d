import { isDeepStrictEqual } from 'node:util'
import { parseJson } from '../../port/text.ts'
import { isObject, type Json, type JsonObject } from '../../port/types.ts'

/**
 * Workflow comments contain the Port action's fields that a workflow can't express, so that the action can be restored:
 * `# port-action: {…}` and, for each input, `# port-input: {"NAME": {…}}`.
 */
export type CommentKind = 'port-action' | 'port-input'

export const writeComment = (kind: CommentKind, value: JsonObject): string => `# ${kind}: ${oneLine(value)}`

/** Formats JSON on one line. Escapes characters that YAML reads as a line break, and characters that YAML forbids. */
export const oneLine = (value: unknown): string =>
  JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/**
 * Returns every comment of these kinds, with its position in the text.
 *
 * @throws Error with the line of a comment that isn't JSON
 */
export function readComments(text: string): { kind: CommentKind; value: JsonObject; at: number }[] {
  return [...text.matchAll(/^[ \t]*# (port-action|port-input): (.*)$/gm)].map(match => {
    const [, kind, json] = match as unknown as [string, CommentKind, string]
    const value = parseJson(json)
    if (isObject(value)) return { kind, value, at: match.index }
    const line = text.slice(0, match.index).split('\n').length
    throw new Error(
      `Line ${line}: the comment "# ${kind}:" must be followed by a JSON object on the same line.`,
    )
  })
}

/** Returns the changes from `base` to `wanted`, key by key; null removes a key. Nulls in `wanted` count as missing. */
export function changes(base: JsonObject, wanted: JsonObject): JsonObject {
  const found: [string, Json][] = []
  for (const key of new Set([...Object.keys(base), ...Object.keys(wanted)])) {
    const value = wanted[key] ?? null
    if (!isDeepStrictEqual(base[key] ?? null, value)) found.push([key, value])
  }
  return Object.fromEntries(found)
}

/** Applies the result of {@link changes}. */
export function apply(base: JsonObject, changed: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries({ ...base, ...changed }).filter(([, value]) => value !== null))
}
