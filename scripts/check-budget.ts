/**
 * Checks the size of the code base and of its documentation. If a limit is exceeded, remove code, or raise the limit in a separate commit that
 * explains the reason.
 *
 * `node scripts/check-budget.ts` prints the figures, and fails if a figure exceeds its limit.
 */

import { globSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')

const PRODUCT = '{relay,action,port,workflow-files,cli}/**/*.ts'

const BUDGET = {
  files: 215,
  sourceLines: 29_000,
  simulatorLines: 6_650,
  /** Scripts, demo, and benchmark. */
  otherLines: 4_150,
  testLines: 29_300,
  /** A minimum, because many tiny files are harder to follow than fewer larger ones. */
  medianLines: 125,
  largestFile: 350,
  dependencies: 24,
  devDependencies: 26,
  /** `docs/*.md` and README.md. */
  docsBytes: 183_000,
}

function linesOf(pattern: string): number[] {
  return globSync(pattern, { cwd: root, exclude: ['**/dist/**', '**/fixtures/**', '**/node_modules/**'] })
    .map(file => readFileSync(join(root, file), 'utf8').split('\n').length - 1)
    .toSorted((a, b) => a - b)
}

const sum = (numbers: number[]) => numbers.reduce((all, one) => all + one, 0)
const sources = linesOf(PRODUCT)
const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const figures: Record<keyof typeof BUDGET, number> = {
  files: sources.length,
  sourceLines: sum(sources),
  simulatorLines: sum(linesOf('simulator/**/*.ts')),
  otherLines: sum(linesOf('{scripts,demo,bench}/**/*.ts')),
  testLines: sum(linesOf('test/**/*.ts')),
  medianLines: sources[sources.length >> 1] ?? 0,
  largestFile: sources.at(-1) ?? 0,
  dependencies: Object.keys(dependencies).length,
  devDependencies: Object.keys(devDependencies).length,
  docsBytes: sum(
    globSync(['docs/*.md', 'README.md'], { cwd: root }).map(page => statSync(join(root, page)).size),
  ),
}

for (const [name, limit] of Object.entries(BUDGET)) {
  const figure = figures[name as keyof typeof BUDGET]
  const isExceeded = name === 'medianLines' ? figure < limit : figure > limit
  console.log(
    `${isExceeded ? 'over  ' : 'within'}  ${name}: ${figure} (${name === 'medianLines' ? 'at least' : 'at most'} ${limit})`,
  )
  if (isExceeded) process.exitCode = 1
}
