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
