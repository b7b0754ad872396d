import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LIMITS, type Limit } from '../relay/config/limits.ts'

const page = readFileSync(join(import.meta.dirname, '../docs/limits.md'), 'utf8')

test('the table in docs/limits.md lists every limit in the code with its value', () => {
  const shown = page
    .split('\n')
    .filter(line => line.startsWith('|') && !/^\|[ |-]+$/.test(line))
    .map(line => line.replace(/ +\|/g, ' |'))
  const expected = Object.values(LIMITS).map(
    limit => `| ${limit.what} | ${shownValue(limit)} | ${limit.beyond} |`,
  )
  expect(shown.slice(1)).toEqual(expected)
})

test('the code uses every limit, and the code that handles requests contains no other limits', () => {
  const sources = readSources('../relay')
  const readers = sources.filter(({ file }) => !file.endsWith('limits.ts'))
  const isRead = (name: string) =>
    readers.some(
      ({ text }) =>
        text.includes(`LIMITS.${name}.`) || new RegExp(`[{ ]${name}[, ][^=]*= LIMITS\\b`).test(text),
    )
  expect(Object.keys(LIMITS).filter(name => !isRead(name))).toEqual([])
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

function readSources(folder: string): { file: string; text: string }[] {
  const path = join(import.meta.dirname, folder)
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.ts'))
    .map(file => ({ file: join(path, file), text: readFileSync(join(path, file), 'utf8') }))
}

/** Formats a value like the table. */
function shownValue({ value, unit }: Limit): string {
  if (unit === 'bytes' && value < 1024) return `${value} bytes`
  if (unit === 'bytes' || unit === 'bytes a second') {
    const [amount, name] = value % 1024 ** 2 === 0 ? [value / 1024 ** 2, 'MB'] : [value / 1024, 'KB']
    return `${amount} ${name}${unit.slice('bytes'.length)}`
  }
  if (unit === 'ms' && value % 3_600_000 === 0) return `${value / 3_600_000} h`
  if (unit === 'ms' && value % 60_000 === 0) return `${value / 60_000} min`
  if (unit === 'ms') return `${value / 1_000} s`
  return `${value} ${unit}`.trim()
}
