import { parseJson } from '../../port/text.ts'
import { isObject, type JsonObject } from '../../port/types.ts'

/**
 * What a Port action has and GitHub cannot express is in a workflow's comments, so that the way back finds
 * it: `# port-action: {…}` and, for one input each, `# port-input: {"NAME": {…}}`.
 */
export type CommentKind = 'port-action' | 'port-input'

export const writeComment = (kind: CommentKind, value: JsonObject): string => `# ${kind}: ${oneLine(value)}`

/** JSON on one line; what YAML takes for a line break or cannot hold is escaped. */
export const oneLine = (value: unknown): string =>
  JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/**
 * Every such comment, with its place in the text.
 *
 * @throws Error with the line of one that is not JSON
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
