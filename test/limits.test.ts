import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { BOUNDS, type Bound } from '../relay/config/bounds.ts'

const page = readFileSync(join(import.meta.dirname, '../docs/limits.md'), 'utf8')

test('the table of docs/limits.md shows every bound in the code, with its value', () => {
  const shown = page
    .split('\n')
    .filter(line => line.startsWith('|') && !/^\|[ |-]+$/.test(line))
    .map(line => line.replace(/ +\|/g, ' |'))
  const expected = Object.values(BOUNDS).map(
    bound => `| ${bound.what} | ${shownValue(bound)} | ${bound.beyond} |`,
  )
  expect(shown).toEqual(['| what | bound | beyond it |', ...expected])
})

/** A value as the table shows it. */
function shownValue({ value, unit }: Bound): string {
  if (unit === 'bytes' || unit === 'bytes a second') {
    const [amount, name] = value % 1024 ** 2 === 0 ? [value / 1024 ** 2, 'MB'] : [value / 1024, 'KB']
    return `${amount} ${name}${unit.slice('bytes'.length)}`
  }
  if (unit === 'ms') {
    const [amount, name] =
      value % 3_600_000 === 0
        ? [value / 3_600_000, 'h']
        : value % 60_000 === 0
          ? [value / 60_000, 'min']
          : [value / 1_000, 's']
    return `${amount} ${name}`
  }
  return `${value} ${unit}`.trim()
}
