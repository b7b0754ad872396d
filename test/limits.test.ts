import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  isBinaryExpression,
  isCallExpression,
  isNumericLiteral,
  isPropertyAccessExpression,
  isVariableDeclaration,
  type Node,
} from 'typescript/unstable/ast'
import { expect, test } from 'vitest'
import { LIMITS } from '../relay/config/limits.ts'
import { parse } from '../scripts/parse.ts'

const root = join(import.meta.dirname, '..')
const page = readFileSync(join(root, 'docs/limits.md'), 'utf8')

test('the table in docs/limits.md has the value of every limit in the code', () => {
  const rows = page.split('\n').filter(line => line.startsWith('|'))
  const values = rows.slice(2).map(row => readValue(row.split('|')[2]!.trim()))
  expect(values).toEqual(Object.values(LIMITS))
})

test('the code uses every limit', () => {
  const readers = globSync('{relay,cli}/**/*.ts', { cwd: root, exclude: ['**/limits.ts', '**/dist/**'] })
  const texts = readers.map(file => readFileSync(join(root, file), 'utf8'))
  const isRead = (name: string) =>
    texts.some(text => new RegExp(`LIMITS\\.${name}\\b|[{ ]${name}[, ][^=]*= LIMITS\\b`).test(text))
  // workflow-files/, which doesn't import the relay, applies this limit.
  expect(Object.keys(LIMITS).filter(name => !isRead(name))).toEqual(['workflowTriggers'])
})

test('the code that handles requests contains no other limits', () => {
  const files = globSync('relay/{http,intake,reports,admin}/**/*.ts', { cwd: root })
  const found = [...parse(files)].flatMap(([file, source]) => {
    const numbers: string[] = []
    const visit = (node: Node, parent: Node) => {
      if (isNumericLiteral(node) && isLimit(Number(node.text), parent))
        numbers.push(`${file.slice(6)} ${node.getText()}`)
      node.forEachChild(child => visit(child, node))
    }
    visit(source, source)
    return numbers
  })
  expect(found.sort()).toEqual(Object.values(OTHERS).flat().sort())
})

/** Whether a number can be a limit: it's large, a constant, or an argument of a method such as `slice`. */
function isLimit(value: number, parent: Node): boolean {
  if (TIMES.includes(value)) return false
  if (isBinaryExpression(parent) && [1_000, 1_024].includes(value))
    return isNumericLiteral(parent.left) && isNumericLiteral(parent.right)
  const isStatus = isCallExpression(parent) && /\.(json|body|redirect)$/.test(parent.expression.getText())
  const isArgument = isCallExpression(parent) && isPropertyAccessExpression(parent.expression)
  return value >= (isVariableDeclaration(parent) || (isArgument && !isStatus) ? 100 : 1_000)
}

/** A minute, an hour, and a day, in milliseconds. */
const TIMES = [60_000, 3_600_000, 86_400_000]

/** Numbers that senders can't reach, or that aren't limits, by reason. */
const OTHERS = {
  'periods and timeouts of the relay itself': [
    ...[
      'admin/alerts.ts 10_000',
      'admin/health.ts 15_000',
      'admin/metrics.ts 2_000',
      'admin/sides.ts 10_000',
    ],
    ...['admin/public-address.ts 10_000', 'admin/public-address.ts 30_000', 'admin/redelivery.ts 5_000'],
    ...[
      'admin/routes.ts 15_000',
      'admin/send-alert.ts 5_000',
      'http/body-memory.ts 500',
      'http/server.ts 2_000',
    ],
    ...[
      'intake/receive.ts 100',
      'reports/oidc.ts 5_000',
      'reports/oidc.ts 600_000',
      'reports/start.ts 3_000',
    ],
  ],
  'what the relay reads at once, from its database or from its own address': [
    ...['admin/health.ts 100', 'admin/health.ts 200', 'admin/redelivery.ts 200', 'admin/routes.ts 100'],
    'admin/public-address.ts 4096',
  ],
  'units, and buckets of histograms': [
    ...['admin/dashboard/format.ts 1_000', 'admin/dashboard/format.ts 1_000', 'admin/problems.ts 1440'],
    ...['admin/metrics.ts 1800', 'admin/metrics.ts 3600', 'admin/metrics.ts 14_400'],
  ],
  'tolerance for times in whole seconds; seconds or milliseconds; digits of the largest JSON number': [
    ...['reports/authorize.ts 10_000', 'intake/verify.ts 1e11', 'http/body.ts 309'],
  ],
}

const UNITS = { KB: 1024, MB: 1024 ** 2, s: 1_000, min: 60_000, h: 3_600_000 }

/** Reads a value such as `16 KB`, `8 KB a second`, or `32 × RELAY_MAX_BODY`. */
function readValue(text: string): number {
  const [amount, unit = ''] = text.split(' ')
  return Number(amount) * (UNITS[unit as keyof typeof UNITS] ?? 1)
}
