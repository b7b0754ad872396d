/** Changes to ranges of a text, applied at once; the text around them stays as it is. */
export class TextEdits {
  readonly text: string
  readonly #edits: { start: number; end: number; text: string; order: number }[] = []
  readonly #lineStarts: number[] = [0]

  constructor(text: string) {
    this.text = text
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1))
      this.#lineStarts.push(at + 1)
  }

  replace(start: number, end: number, text: string): void {
    this.#edits.push({ start, end, text, order: this.#edits.length })
  }

  insert(at: number, text: string): void {
    this.replace(at, at, text)
  }

  /** Whether a position is inside a range that is replaced. */
  isReplaced(at: number): boolean {
    return this.#edits.some(edit => edit.start <= at && at < edit.end)
  }

  /** 1 for the first line. */
  lineOf(at: number): number {
    let [low, high] = [0, this.#lineStarts.length]
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (this.#lineStarts[middle]! <= at) low = middle
      else high = middle
    }
    return low + 1
  }

  lineStart(at: number): number {
    return this.#lineStarts[this.lineOf(at) - 1]!
  }

  /** After the line's end. */
  nextLine(at: number): number {
    return this.#lineStarts[this.lineOf(at)] ?? this.text.length
  }

  /** Columns before a position. */
  columnOf(at: number): number {
    return at - this.lineStart(at)
  }

  /** The text with its changes, and for each of its lines the line that it comes from. */
  apply(): { text: string; lines: number[] } {
    const edits = [...this.#edits].sort((a, b) => a.start - b.start || a.end - b.end || a.order - b.order)
    const lines = [1]
    let result = ''
    let at = 0
    const add = (text: string, from: number, to: number) => {
      const last = this.lineOf(to)
      let line = this.lineOf(from)
      for (const _ of text.matchAll(/\n/g)) lines.push(Math.min(++line, last))
      result += text
    }
    for (const edit of edits) {
      // An edit inside one that removes more is of no use.
      if (edit.start < at) continue
      add(this.text.slice(at, edit.start), at, edit.start)
      add(edit.text, edit.start, edit.end)
      at = edit.end
    }
    add(this.text.slice(at), at, this.text.length)
    return { text: result, lines }
  }
}
