import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LIMITS } from '../relay/config/limits.ts'

const page = readFileSync(join(import.meta.dirname, '../docs/limits.md'), 'utf8')

test('the table in docs/limits.md has the value of every limit in the code', () => {
  const rows = page.split('\n').filter(line => line.startsWith('|'))
  const values = rows.slice(2).map(row => readValue(row.split('|')[2]!.trim()))
  expect(values).toEqual(Object.values(LIMITS))
})

test('the code uses every limit, and the code that handles requests contains no other limits', () => {
  const sources = ['../relay', '../cli'].flatMap(name => {
    const folder = join(import.meta.dirname, name)
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter(file => file.endsWith('.ts'))
      .map(file => ({ file: join(folder, file), text: readFileSync(join(folder, file), 'utf8') }))
  })
  const readers = sources.filter(({ file }) => !file.endsWith('limits.ts'))
  const isRead = (name: string) =>
    readers.some(({ text }) => new RegExp(`LIMITS\\.${name}\\b|[{ ]${name}[, ][^=]*= LIMITS\\b`).test(text))
  // workflow-files/, which doesn't import the relay, applies this limit.
  expect(Object.keys(LIMITS).filter(name => !isRead(name))).toEqual(['workflowTriggers'])
  const own = sources
    .filter(({ file }) => /relay\/(http|intake|reports)\//.test(file))
    .flatMap(({ text }) =>
      [...text.matchAll(/const ((?:MAX|MOST|LONGEST)_?\w*) = [\d(]/g)].map(([, name]) => name),
    )
  // These limits are within the header limit, or apply to caches and to log fields about a request.
  expect(own.sort()).toEqual([...WITHIN_OTHERS].sort())
})

const WITHIN_OTHERS = [
  ...['MAX_TOKEN', 'MAX_TOKEN', 'MAX_AGE_S'],
  ...['MAX_KEYS', 'MAX_RUNS', 'LONGEST_MS'],
  ...['MAX_REASON', 'LONGEST_REASON', 'LONGEST_PATH', 'MOST_LISTED'],
]

const UNITS = { KB: 1024, MB: 1024 ** 2, s: 1_000, min: 60_000, h: 3_600_000 }

/** Reads a value such as `16 KB`, `8 KB a second`, or `32 × RELAY_MAX_BODY`. */
function readValue(text: string): number {
  const [amount, unit = ''] = text.split(' ')
  return Number(amount) * (UNITS[unit as keyof typeof UNITS] ?? 1)
}
