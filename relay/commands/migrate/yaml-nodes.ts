import {
  type CST,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import type { TextEdits } from './text-edits.ts'

/** A mapping's pair by its key, as GitHub compares keys: exactly. */
export function pairOf(map: unknown, key: string): Pair<Scalar, Node | null> | undefined {
  if (!isMap(map)) return undefined
  return map.items.find(pair => isScalar(pair.key) && pair.key.value === key) as
    | Pair<Scalar, Node | null>
    | undefined
}

export const nodeAt = (map: unknown, key: string): Node | null => pairOf(map, key)?.value ?? null

/** A scalar's text; null for anything else. */
export function textOf(node: unknown): string | null {
  return isScalar(node) && node.value !== null && node.value !== undefined
    ? String(node.source ?? node.value)
    : null
}

export const mapOf = (node: unknown): YAMLMap<Scalar, Node | null> | null =>
  isMap(node) ? (node as YAMLMap<Scalar, Node | null>) : null
export const seqOf = (node: unknown): YAMLSeq<Node> | null => (isSeq(node) ? (node as YAMLSeq<Node>) : null)

/** The texts of a list, or a text that stands for a list of one. */
export function textList(node: unknown): string[] {
  const one = textOf(node)
  return one === null ? (seqOf(node)?.items ?? []).flatMap(item => textOf(item) ?? []) : [one]
}

/** Name → text of a mapping of scalars; names in lower case, as inputs of actions are compared. */
export function textsOf(node: unknown): Map<string, string> {
  const texts = new Map<string, string>()
  for (const { key, value } of mapOf(node)?.items ?? []) {
    const text = isScalar(value) && value.value === null ? '' : textOf(value)
    if (text !== null) texts.set(String(key.value).toLowerCase(), text)
  }
  return texts
}

/** The file in the same repository that a job calls. */
export const calledFile = (uses: string | null): string | null =>
  /^\.\/\.github\/workflows\/([^/]+)$/.exec(uses ?? '')?.[1] ?? null

export const startOf = (node: Node | Scalar): number => node.range![0]

/** Where a node's own text ends, without the white space and comments after it. */
export function endOf(node: Node, { text }: TextEdits): number {
  let end = node.range![1]
  const start = node.range![0]
  while (end > start && /\s/.test(text[end - 1]!)) end--
  return end
}

/** Where a pair's own text ends: after its value, else after the colon. */
export function pairEnd(pair: Pair<Scalar, Node | null>, edits: TextEdits): number {
  const { value, key } = pair
  if (value?.range && value.range[1] > value.range[0]) return endOf(value, edits)
  const colon = edits.text.indexOf(':', endOf(key, edits))
  return colon === -1 ? endOf(key, edits) : colon + 1
}

export const isFlow = (node: unknown): boolean => (isMap(node) || isSeq(node)) && node.flow === true

/** Where the dash of each item of a block sequence is. */
export function dashesOf(seq: YAMLSeq): number[] {
  const token = seq.srcToken as CST.BlockSequence
  return token.items
    .filter(item => item.value !== undefined)
    .map(item => item.start.find(part => part.type === 'seq-item-ind')!.offset)
}

/** Takes a pair out: its lines from a block mapping, itself and its comma from a flow mapping. */
export function removePair(
  map: YAMLMap,
  pair: Pair<Scalar, Node | null>,
  edits: TextEdits,
  instead = '',
): void {
  const start = startOf(pair.key)
  const end = pairEnd(pair, edits)
  if (!isFlow(map)) {
    const lineStart = edits.lineStart(start)
    const isFirst = edits.text.slice(lineStart, start).trim() !== ''
    if (instead !== '') edits.replace(start, end, instead)
    else if (isFirst) edits.replace(start, nextPairStart(map, pair, edits) ?? end, '')
    else edits.replace(lineStart, edits.nextLine(Math.max(start, end - 1)), '')
    return
  }
  const comma = /^\s*,\s*/.exec(edits.text.slice(end))
  const before = /,\s*$/.exec(edits.text.slice(0, start))
  if (instead !== '') edits.replace(start, end, instead)
  else if (comma) edits.replace(start, end + comma[0].length, '')
  else edits.replace(start - (before?.[0].length ?? 0), end, '')
}

/** `- with:` shares its line with the dash: the next pair takes its place. */
function nextPairStart(map: YAMLMap, pair: Pair, edits: TextEdits): number | null {
  const next = map.items[map.items.indexOf(pair) + 1]
  if (!isPair(next) || !isScalar(next.key)) return null
  const from = pairEnd(pair as Pair<Scalar, Node | null>, edits)
  const to = startOf(next.key)
  return edits.text.slice(from, to).trim() === '' ? to : null
}

/** A text as YAML that stands after `key: `, its further lines at `indent` columns. */
export function writeScalar(text: string, indent: number): string {
  if (text.includes('\n')) {
    const pad = ' '.repeat(indent)
    // A first line that begins with a space needs the number of spaces by which the text is indented.
    return `|${/^[ \n]/.test(text) ? '2' : ''}-\n${text
      .trimEnd()
      .split('\n')
      .map(line => (line === '' ? '' : pad + line))
      .join('\n')}`
  }
  if (isPlain(text)) return text
  return /['\x00-\x1f\x7f]/.test(text) ? JSON.stringify(text) : `'${text}'`
}

/** Whether a text may stand in YAML without quotes, and is text there. */
function isPlain(text: string): boolean {
  if (text === '' || text.trim() !== text || /[\n\t\x00-\x1f\x7f]/.test(text)) return false
  if (/: | #|:$/.test(text) || /^[-?:,[\]{}#&*!|>'"%@`=<~.+\d]/.test(text)) return false
  return !/^(true|false|null|yes|no|on|off)$/i.test(text)
}
