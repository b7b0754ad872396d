/** A piece of a word: text, a variable, an expression of the workflow, or a command whose output it is. */
type WordPart = { text: string } | { variable: string } | { expression: string } | { command: string }
export type Word = WordPart[]

/** A command with its words; redirections are words of their own (`>`, `>>`). */
export interface ShellCommand {
  words: Word[]
  /** What follows it: `|`, `&&`, `||`, `;` or a line's end. */
  then: string
}

const MARK = /^\uE000(\d+)\uE001/

/**
 * Reads a shell script of plain commands; `${{ }}` stands in it as marks.
 *
 * @returns null where the script has what this reader does not know: here-documents, functions, conditions are words
 *   to it, and their reader refuses them
 */
export function readShell(script: string, expressions: string[]): ShellCommand[] | null {
  const commands: ShellCommand[] = []
  let words: Word[] = []
  let word: Word | null = null
  let at = 0
  const push = (part: WordPart) => {
    word ??= []
    const last = word.at(-1)
    if (last && 'text' in last && 'text' in part) last.text += part.text
    else word.push(part)
  }
  const endWord = () => {
    if (word) words.push(word)
    word = null
  }
  const endCommand = (then: string) => {
    endWord()
    if (words.length > 0) commands.push({ words, then })
    words = []
  }
  /** A variable, a command's output or a mark at `at`; how far it goes. */
  const reference = (): number => {
    const rest = script.slice(at)
    const mark = MARK.exec(rest)
    if (mark) {
      push({ expression: expressions[Number(mark[1])]! })
      return mark[0].length
    }
    const variable = /^\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})/.exec(rest)
    if (variable) {
      push({ variable: (variable[1] ?? variable[2])! })
      return variable[0].length
    }
    if (rest.startsWith('$(')) {
      const length = substitutionLength(rest)
      if (length === 0) return 0
      push({ command: rest.slice(2, length - 1) })
      return length
    }
    return 0
  }
  while (at < script.length) {
    const char = script[at]!
    if (char === '\\') {
      if (script[at + 1] !== '\n') push({ text: script[at + 1] ?? '' })
      at += 2
    } else if (char === "'") {
      const end = script.indexOf("'", at + 1)
      if (end === -1) return null
      for (const piece of script.slice(at + 1, end).split(/(\uE000\d+\uE001)/)) {
        const mark = MARK.exec(piece)
        push(mark ? { expression: expressions[Number(mark[1])]! } : { text: piece })
      }
      at = end + 1
    } else if (char === '"') {
      push({ text: '' })
      at++
      while (script[at] !== '"') {
        if (at >= script.length) return null
        const length = script[at] === '$' || script[at] === '\uE000' ? reference() : 0
        if (length > 0) at += length
        // `$?`, `$1` and the like are known to the script alone.
        else if (script[at] === '`' || script[at] === '$') return null
        else if (script[at] === '\\' && '"\\$`\n'.includes(script[at + 1] ?? ' ')) {
          if (script[at + 1] !== '\n') push({ text: script[at + 1]! })
          at += 2
        } else push({ text: script[at++]! })
      }
      at++
    } else if (char === '$' || char === '\uE000') {
      const length = reference()
      if (length === 0) return null
      at += length
    } else if (char === '#' && word === null) {
      const end = script.indexOf('\n', at)
      at = end === -1 ? script.length : end
    } else if (/[ \t\r]/.test(char)) {
      endWord()
      at++
    } else if (char === '\n' || char === ';') {
      endCommand(';')
      at++
    } else if (char === '|' || char === '&') {
      const operator = script[at + 1] === char ? char + char : char
      if (operator === '&') return null
      endCommand(operator)
      at += operator.length
    } else if (char === '>' || char === '<') {
      // `2>` belongs to its number.
      if (char === '<') return null
      endWord()
      const operator = script[at + 1] === '>' ? '>>' : '>'
      words.push([{ text: operator }])
      at += operator.length
      if (script[at] === '&') {
        words.push([{ text: `&${script[at + 1] ?? ''}` }])
        at += 2
      }
    } else if ('(){}`'.includes(char) && word === null) return null
    else {
      push({ text: char })
      at++
    }
  }
  endCommand(';')
  return commands
}

/** The length of `$( … )` with what is nested in it; 0 where it does not end. */
function substitutionLength(text: string): number {
  let depth = 0
  let quote = ''
  for (let at = 1; at < text.length; at++) {
    const char = text[at]!
    if (quote !== '') {
      if (char === quote) quote = ''
      else if (char === '\\' && quote === '"') at++
    } else if (char === "'" || char === '"') quote = char
    else if (char === '(') depth++
    else if (char === ')' && --depth === 0) return at + 1
  }
  return 0
}

/** A word that is text alone; null for any other. */
export function plainText(word: Word | undefined): string | null {
  if (!word) return null
  return word.every(part => 'text' in part)
    ? word.map(part => ('text' in part ? part.text : '')).join('')
    : null
}
