/**
 * Checks every regular expression in the product. An expression that can take more than linear time is an error,
 * because attackers can choose the text to match.
 *
 * `node scripts/check-patterns.ts [FOLDER…]`
 */

import { globSync } from 'node:fs'
import { join } from 'node:path'
import { check } from 'recheck'
import { isRegularExpressionLiteral, type Node } from 'typescript/unstable/ast'
import { parse } from './parse.ts'

const root = join(import.meta.dirname, '..')
const folders =
  process.argv.length > 2 ? process.argv.slice(2) : ['relay', 'port', 'action', 'workflow-files', 'cli']

interface Pattern {
  where: string
  source: string
  flags: string
}

const files = folders.flatMap(folder => {
  const found = globSync(`${folder}/**/*.ts`, { cwd: root, exclude: ['**/dist/**'] })
  if (found.length === 0) throw new Error(`${folder} has no TypeScript files.`)
  return found
})
const patterns: Pattern[] = []
for (const [file, source] of parse(files)) {
  const visit = (node: Node) => {
    if (isRegularExpressionLiteral(node)) {
      const [, pattern = '', flags = ''] = /^\/(.*)\/([a-z]*)$/s.exec(node.text) ?? []
      const { line } = source.getLineAndCharacterOfPosition(node.getStart())
      patterns.push({ where: `${file}:${line + 1}`, source: pattern, flags })
    }
    node.forEachChild(visit)
  }
  visit(source)
}
const verdicts = new Map<string, Promise<string | null>>()

/** Timeouts for the fuzzing checker. They are long, because the checker would otherwise time out on a busy machine. */
const PATIENT = { timeout: 600_000, attackTimeout: 60_000 }

/** Explains why a pattern isn't linear; null for a linear pattern. Uses the fuzzing checker if the exact checker can't decide. */
async function faultOf({ source, flags }: Pattern): Promise<string | null> {
  const exact = await check(source, flags, { checker: 'automaton', timeout: 60_000 })
  const verdict = exact.status === 'unknown' ? await check(source, flags, PATIENT) : exact
  if (verdict.status === 'safe') return null
  if (verdict.status === 'vulnerable') return `${verdict.complexity.summary}: ${verdict.attack.pattern}`
  return `not decided (${verdict.error.kind})`
}

const faults: string[] = []
for (const pattern of patterns) {
  const key = `/${pattern.source}/${pattern.flags}`
  const verdict = verdicts.get(key) ?? faultOf(pattern)
  verdicts.set(key, verdict)
  const fault = await verdict
  if (fault !== null) faults.push(`${pattern.where} ${key} ${fault}`)
}
for (const fault of faults) console.error(fault)
console.log(`${patterns.length} regular expressions, ${faults.length} that are not linear`)
process.exitCode = faults.length > 0 || patterns.length < 50 ? 1 : 0
