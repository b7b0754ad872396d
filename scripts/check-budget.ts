/**
 * Checks the size of the code base and of its documentation. If a limit is exceeded, remove code, or raise the limit in a separate commit that
 * explains the reason.
 *
 * `node scripts/check-budget.ts` prints the figures and fails if one exceeds its limit.
 */

import { globSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')

/** The product's source files, without the simulator. */
const SOURCES = ['{relay,action,port}/**/*.ts', 'tools/{migrate,generate}/**/*.ts']

const BUDGET = {
  files: 215,
  sourceLines: 28_700,
  testLines: 29_400,
  /** A lower limit: many tiny files are harder to follow than fewer ones. */
  medianLines: 130,
  largestFile: 350,
  dependencies: 24,
  devDependencies: 26,
  /** `docs/*.md` and README.md. */
  docsBytes: 176_500,
}

function linesOf(patterns: string[]): number[] {
  return globSync(patterns, { cwd: root, exclude: ['**/dist/**', '**/fixtures/**'] })
    .map(file => readFileSync(join(root, file), 'utf8').split('\n').length - 1)
    .toSorted((a, b) => a - b)
}

const sum = (numbers: number[]) => numbers.reduce((all, one) => all + one, 0)
const sources = linesOf(SOURCES)
const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const figures: Record<keyof typeof BUDGET, number> = {
  files: sources.length,
  sourceLines: sum(sources),
  testLines: sum(linesOf(['test/**/*.ts'])),
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
