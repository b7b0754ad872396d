import { isNode, LineCounter, parseDocument } from 'yaml'

/** Where something stands in a YAML file. */
export class Place {
  readonly file: string
  readonly #content: string
  readonly #path: (string | number)[]
  constructor(file: string, content: string, path: (string | number)[] = []) {
    this.file = file
    this.#content = content
    this.#path = path
  }

  /** The place of one of its keys or items. */
  inside(key: string | number): Place {
    return new Place(this.file, this.#content, [...this.#path, key])
  }

  /** `FILE:LINE:COLUMN` of this text in the value that stands here, and the value's own where it is written otherwise. */
  positionOf(text: string): string {
    const lines = new LineCounter()
    const node = parseDocument(this.#content, { lineCounter: lines }).getIn(this.#path, true)
    if (!isNode(node) || !node.range) return this.file
    const [start, end] = node.range
    const found = this.#content.slice(start, end).indexOf(text)
    const { line, col } = lines.linePos(start + Math.max(found, 0))
    return `${this.file}:${line}:${col}`
  }

  /** `FILE.jobs.deploy.steps[0]`. */
  toString(): string {
    const keys = this.#path.map(key => (typeof key === 'number' ? `[${key}]` : `.${key}`))
    return this.file + keys.join('')
  }
}
