import type { FileLine } from '../runner/log-file.ts'

/** A part of `$PORT_ENTITIES` that is read alone. */
export interface EntityDocument {
  text: string
  /** The number of its first line among those given, from 1. */
  line: number
  /** The byte after its end. */
  end: number
  /** Whether what follows it shows that it is whole; else it may still be written to. */
  closed: boolean
}

/**
 * Splits what steps have appended to `$PORT_ENTITIES`. A document ends at `---`, at the end of a JSON value or flow
 * collection that began with its line (`{…}`, `[…]`), and where a line cannot belong to it: a key that it has
 * already, or one after a list. So steps may append documents with and without `---` between them.
 *
 * @param lines whole ones
 * @param options.settled whether the last document is returned as well, although nothing follows it
 */
export function splitDocuments(lines: readonly FileLine[], options: { settled: boolean }): EntityDocument[] {
  const documents: EntityDocument[] = []
  let current = newDocument()
  const close = (closed: boolean) => {
    if (current.texts.some(text => text.trim() !== '' && !text.startsWith('#')))
      documents.push({ text: current.texts.join('\n'), line: current.line, end: current.end, closed })
    current = newDocument()
  }
  for (const [index, { text, end }] of lines.entries()) {
    const mark = /^(?:---|\.\.\.)(?:\s+(.*))?$/s.exec(text)
    if (mark) close(true)
    const content = mark ? (mark[1] ?? '') : text
    if (current.kind !== 'flow' && current.kind !== null && cannotFollow(content, current)) close(true)
    current.kind ??= kindOf(content)
    current.end = end
    if (current.texts.length === 0) current.line = index + 1
    if (content !== '' || current.texts.length > 0) current.texts.push(content)
    if (current.kind === 'flow') {
      if (isFlowEnd(content, current)) close(true)
    } else {
      const key = keyOf(content)
      if (key !== null) current.keys.add(key)
    }
  }
  if (options.settled) close(false)
  return documents
}

interface Current {
  /** Null as long as it has no content. */
  kind: 'flow' | 'list' | 'mapping' | null
  texts: string[]
  line: number
  end: number
  keys: Set<string>
  /** Brackets of a flow collection that are open, and the quote that is. */
  depth: number
  quote: string
}

const newDocument = (): Current => ({
  kind: null,
  texts: [],
  line: 0,
  end: 0,
  keys: new Set(),
  depth: 0,
  quote: '',
})

function kindOf(line: string): Current['kind'] {
  if (line.trim() === '' || line.startsWith('#')) return null
  if (/^\s*[[{]/.test(line)) return 'flow'
  return /^\s*-(\s|$)/.test(line) ? 'list' : 'mapping'
}

function cannotFollow(line: string, { kind, keys }: Current): boolean {
  if (/^[[{]/.test(line)) return true
  const key = keyOf(line)
  return key !== null && (kind === 'list' || keys.has(key))
}

/** The key of a line that begins with one. */
function keyOf(line: string): string | null {
  return /^["']?([\w$-]+)["']?\s*:(?:\s|$)/.exec(line)?.[1] ?? null
}

/** Whether the brackets that a line opens, or earlier lines have, are closed at its end. */
function isFlowEnd(line: string, state: Current): boolean {
  for (let at = 0; at < line.length; at++) {
    const char = line[at]!
    if (state.quote !== '') {
      if (char === '\\' && state.quote === '"') at++
      else if (char === state.quote) state.quote = ''
    } else if ((char === '"' || char === "'") && /^[\s{[,:]?$/.test(line[at - 1] ?? '')) state.quote = char
    else if (char === '{' || char === '[') state.depth++
    else if (char === '}' || char === ']') state.depth--
  }
  return state.depth <= 0 && state.quote === ''
}
