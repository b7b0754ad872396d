/** A chain such as `github.event.inputs.x`: its parts, and where each ends in the source. */
export interface Chain {
  parts: string[]
  ends: number[]
  /** Index of the token after each part. */
  next: number[]
}

/** `a.b['c']` from a token on, as far as its parts are known. */
export function chainAt(tokens: ExpressionToken[], index: number): Chain {
  const first = tokens[index]!
  const rest = chainAfter(tokens, index)
  return {
    parts: [first.text, ...rest.parts],
    ends: [first.end, ...rest.ends],
    next: [index + 1, ...rest.next],
  }
}

/** The parts that follow the token at `index`; `ends` and `next` are led by nothing. */
export function chainAfter(
  tokens: ExpressionToken[],
  index: number,
): Chain & { start: { end: number; next: number } } {
  const chain: Chain = { parts: [], ends: [], next: [] }
  let at = index + 1
  for (;;) {
    const [first, second, third] = [tokens[at], tokens[at + 1], tokens[at + 2]]
    if (first?.text === '.' && second?.kind === 'name') {
      chain.parts.push(second.text)
      chain.ends.push(second.end)
      at += 2
    } else if (first?.text === '[' && second?.kind === 'string' && third?.text === ']') {
      chain.parts.push(unquoted(second.text))
      chain.ends.push(third.end)
      at += 3
    } else break
    chain.next.push(at)
  }
  return { ...chain, start: { end: tokens[index]!.end, next: index + 1 } }
}

export interface ExpressionToken {
  kind: 'name' | 'string' | 'number' | 'other'
  text: string
  end: number
}

/** The tokens of an expression, without its white space. */
export function expressionTokens(source: string): ExpressionToken[] {
  const tokens: ExpressionToken[] = []
  const pattern = /\s+|'(?:[^']|'')*'|[A-Za-z_][\w-]*|\d[\w.]*|&&|\|\||[=!<>]=|[\s\S]/g
  for (const { 0: text, index: start } of source.matchAll(pattern)) {
    if (/^\s/.test(text)) continue
    const kind = /^'./s.test(text)
      ? 'string'
      : /^[A-Za-z_]/.test(text)
        ? 'name'
        : /^\d/.test(text)
          ? 'number'
          : 'other'
    tokens.push({ kind, text, end: start + text.length })
  }
  return tokens
}

const unquoted = (token: string): string => token.slice(1, -1).replaceAll("''", "'")
