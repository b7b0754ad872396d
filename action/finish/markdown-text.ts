/** What Markdown or GitHub takes for markup of its own: no lone `$`, no `_` or `&` between words, no `[` without a link. */
const ACTIVE = new RegExp(
  [
    /[`*]/u,
    /\\(?=[!-/:-@[-`{-~])/u,
    /(?<![\p{L}\p{N}])_(?=\S)|(?<=\S)_(?![\p{L}\p{N}])/u,
    /[[~$]/u,
    /<(?=[a-z/!?])/u,
    /&(?=#|\w+;)/u,
  ]
    .map(({ source }) => source)
    .join('|'),
  'giu',
)

/** Text of a paragraph that stays as it is. */
export function markdownText(text: string): string {
  return text.split('\n').map(escapeLine).join('\n')
}

function escapeLine(line: string): string {
  // A look ahead for what ends it would take quadratic time.
  const lastEnd: Record<string, number> = {
    '[': Math.max(line.lastIndexOf(']('), line.lastIndexOf(']:')),
    '~': line.lastIndexOf('~'),
    $: line.lastIndexOf('$'),
  }
  return line.replace(ACTIVE, (found, offset: number) => {
    const end = lastEnd[found]
    if (end !== undefined && end <= offset) return found
    return HTML[found] ?? `\\${found}`
  })
}

const HTML: Record<string, string> = { '&': '&amp;', '<': '&lt;' }

/**
 * Text of one cell of a table, on one line. It also reads well as plain text: what needs no escape has none, and else it is
 * code, in which only the end of the cell has to be escaped.
 *
 * @see https://github.github.com/gfm/#example-200
 */
export function markdownCell(text: string, options: { code?: boolean } = {}): string {
  // Code cannot hold a backslash before the end of a cell.
  if (/\\\|/.test(text)) return markdownText(text).replaceAll('|', '\\|')
  const line = text.replaceAll('|', '\\|')
  if (text === '' || !(options.code || markdownText(text) !== text)) return line
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length))
  const fence = '`'.repeat(longest + 1)
  const space = /^`|`$/.test(text) ? ' ' : ''
  return fence + space + line + space + fence
}
