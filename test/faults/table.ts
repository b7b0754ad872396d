import type { Verdict } from './verdict.ts'

const COLUMNS: [string, keyof Verdict][] = [
  ['fault', 'fault'],
  ['times', 'times'],
  ['acknowledged', 'acknowledged'],
  ['lost', 'lost'],
  ['dispatched twice', 'twice'],
  ['out of order', 'disordered'],
  ['failed', 'failed'],
]

/** The verdicts as a table for the terminal. */
export function table(verdicts: Verdict[]): string {
  const rows = [
    COLUMNS.map(([title]) => title),
    ...verdicts.map(each => COLUMNS.map(([, key]) => String(each[key]))),
  ]
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows
    .map(row =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
