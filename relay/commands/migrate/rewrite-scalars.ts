import { isAlias, isMap, isPair, isScalar, isSeq, type Node, type Scalar, visit } from 'yaml'
import { mapExpression, type Names, type Place } from './map-expression.ts'
import { hasExpression, mapTemplate } from './template.ts'
import type { TextEdits } from './text-edits.ts'
import type { Finding } from './types.ts'
import { isFlow, startOf } from './yaml-nodes.ts'

/** Maps the expressions of all scalars that no other edit replaces. */
export function rewriteScalars(
  root: Node,
  edits: TextEdits,
  names: Names,
  stepOf: (job: string) => string | null,
  findings: Finding[],
): void {
  visit(root, {
    Scalar(key, node, path) {
      if (key === 'key' || !node.range || edits.isReplaced(startOf(node))) return
      const keys = keysOf(path, node)
      const place = placeOf(keys, stepOf)
      if (!place) return
      const text = String(node.source ?? node.value ?? '')
      const condition = keys.at(-1) === 'if'
      if (!hasExpression(text) && !condition) return
      const line = edits.lineOf(startOf(node))
      const rewritten = rewriteText(text, condition, names, {
        ...place,
        condition,
        note: (level, message) => findings.push({ line, level, message }),
      })
      if (rewritten === text) return
      const inFlow = path.some(each => isFlow(each))
      edits.replace(
        node.range[0],
        node.range[1],
        writeLike(node, rewritten, inFlow, edits, names, condition, place),
      )
    },
  })
}

const SILENT = () => {}

/** A scalar in the style that it has. */
function writeLike(
  node: Scalar,
  text: string,
  inFlow: boolean,
  { text: source }: TextEdits,
  names: Names,
  condition: boolean,
  place: { step: string | null },
): string {
  const [start, end] = node.range!
  const raw = source.slice(start, end)
  switch (node.type) {
    case 'BLOCK_LITERAL':
    case 'BLOCK_FOLDED': {
      const [header = '', ...rest] = raw.split('\n')
      return [
        header,
        rewriteText(rest.join('\n'), condition, names, { ...place, condition, note: SILENT }),
      ].join('\n')
    }
    case 'QUOTE_DOUBLE':
      return JSON.stringify(text)
    case 'QUOTE_SINGLE':
      return text.includes('\n') ? JSON.stringify(text) : `'${text.replaceAll("'", "''")}'`
    default: {
      // A text of several lines keeps them.
      const plain = rewriteText(raw, condition, names, { ...place, condition, note: SILENT })
      if (plain.includes('\n') || isSafe(plain, inFlow)) return plain
      return text.includes("'") ? JSON.stringify(text) : `'${text}'`
    }
  }
}

/** Whether a text that stands without quotes still may. */
const isSafe = (plain: string, inFlow: boolean) =>
  !/: | #/.test(plain) && !/^[-?:,[\]{}#&*!|>'"%@`]/.test(plain) && !(inFlow && /[,[\]{}]/.test(plain))

/** A text with its expressions mapped; a condition is one expression, also without `${{ }}`. */
export function rewriteText(text: string, condition: boolean, names: Names, place: Place): string {
  if (condition && !hasExpression(text)) return mapExpression(text, place, names)
  return mapTemplate(text, source => mapExpression(source, place, names))
}

/** The keys from the root to a node; positions in sequences as numbers. */
function keysOf(path: readonly unknown[], node: Node): (string | number)[] {
  const keys: (string | number)[] = []
  const all = [...path, node]
  for (const [index, each] of all.entries()) {
    if (isPair(each)) keys.push(String(isScalar(each.key) ? each.key.value : isAlias(each.key) ? '*' : ''))
    else if (isSeq(each)) keys.push(each.items.indexOf(all[index + 1] as Node))
    else if (isMap(each)) continue
  }
  return keys
}

/** Where an expression stands; null where there are none. */
function placeOf(
  keys: (string | number)[],
  stepOf: (job: string) => string | null,
): { step: string | null } | null {
  const [first, job, third, fourth] = keys
  if (first === 'on') return null
  if (first !== 'jobs' || job === undefined || third === undefined) return { step: null }
  if (third === 'steps' || third === 'outputs' || (third === 'environment' && fourth === 'url'))
    return { step: stepOf(String(job)) }
  return { step: null }
}
