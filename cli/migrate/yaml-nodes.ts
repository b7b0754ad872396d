import { type CST, isMap, isScalar, isSeq, type Node, type Pair, type Scalar, type YAMLMap } from 'yaml'

export type Mapping = YAMLMap<Scalar, Node | null>
export type Entry = Pair<Scalar, Node | null>

export const mapOf = (node: unknown): Mapping | null => (isMap(node) ? (node as Mapping) : null)
export const itemsOf = (node: unknown): Entry[] => mapOf(node)?.items ?? []
export const keysOf = (node: unknown): string[] => itemsOf(node).map(({ key }) => String(key.value))
export const isFlow = (node: unknown): boolean => (isMap(node) || isSeq(node)) && node.flow === true

/** Finds a pair in a mapping by its exact key. */
export const pairOf = (map: unknown, key: string): Entry | undefined =>
  itemsOf(map).find(pair => pair.key.value === key)

export const nodeAt = (node: unknown, ...keys: string[]): Node | null =>
  keys.reduce<unknown>((map, key) => pairOf(map, key)?.value ?? null, node) as Node | null

export function textAt(node: unknown, ...keys: string[]): string | null {
  const found = nodeAt(node, ...keys)
  return isScalar(found) && found.value !== null ? String(found.source ?? found.value) : null
}

export function textList(node: unknown): string[] {
  const one = textAt(node)
  return one === null ? (isSeq(node) ? node.items.flatMap(item => textAt(item) ?? []) : []) : [one]
}

/** Returns texts by name. The names are in lower case, because GitHub ignores the case of an action's inputs. */
export const textsOf = (node: unknown): Map<string, string> =>
  new Map(itemsOf(node).map(({ key, value }) => [String(key.value).toLowerCase(), textAt(value) ?? '']))

export const startOf = (node: Node): number => node.range![0]

/** Returns the position after a pair's value, or after its colon if there is no value. */
export function pairEnd({ key, value }: Entry, { text }: TextEdits): number {
  if (!value?.range || value.range[1] === value.range[0]) return text.indexOf(':', key.range![1]) + 1
  return startOf(value) + text.slice(startOf(value), value.range[1]).trimEnd().length
}

export const afterPair = (pair: Entry, edits: TextEdits): number => edits.nextLine(pairEnd(pair, edits) - 1)

/** Returns each mapping in a block sequence, with the offset of its dash. */
export function listItems(node: unknown): { map: Mapping; dash: number }[] {
  if (!isSeq(node) || node.flow) return []
  const { items } = node.srcToken as CST.BlockSequence
  const dashes = items
    .filter(({ value }) => value !== undefined)
    .map(({ start }) => start.find(({ type }) => type === 'seq-item-ind')!.offset)
  return node.items.flatMap((item, index) =>
    isMap(item) ? [{ map: item as Mapping, dash: dashes[index]! }] : [],
  )
}

/** Inserts lines below a key whose value is a block mapping or empty. */
export function addLines(pair: Entry, lines: string[], edits: TextEdits): void {
  const [first] = itemsOf(pair.value)
  const column = first ? edits.columnOf(startOf(first.key)) : edits.columnOf(startOf(pair.key)) + 2
  const last = itemsOf(pair.value).at(-1)
  edits.insertLines(last ? afterPair(last, edits) : edits.nextLine(startOf(pair.key)), column, lines)
}

export class TextEdits {
  readonly text: string
  readonly #edits: { start: number; end: number; text: string }[] = []

  constructor(text: string) {
    this.text = text
  }

  replace(start: number, end: number, text: string): void {
    this.#edits.push({ start, end, text })
  }

  /** @param at the start of a line, or the end of the text */
  insertLines(at: number, column: number, lines: string[]): void {
    const isOpen = at > 0 && this.text[at - 1] !== '\n'
    this.replace(at, at, (isOpen ? '\n' : '') + lines.map(line => `${' '.repeat(column)}${line}\n`).join(''))
  }

  lineOf(at: number): number {
    return this.text.slice(0, at).split('\n').length
  }

  lineStart(at: number): number {
    return this.text.lastIndexOf('\n', at - 1) + 1
  }

  nextLine(at: number): number {
    const end = this.text.indexOf('\n', at)
    return end === -1 ? this.text.length : end + 1
  }

  columnOf(at: number): number {
    return at - this.lineStart(at)
  }

  apply(): string {
    let result = ''
    let at = 0
    for (const { start, end, text } of this.#edits.sort((a, b) => a.start - b.start || a.end - b.end)) {
      result += this.text.slice(at, start) + text
      at = end
    }
    return result + this.text.slice(at)
  }
}
