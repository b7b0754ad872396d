import type { Statement } from '../database.ts'

type Value = Statement['params'][number]
/** Adds a parameter to a statement. @returns its placeholder */
export type Parameter = (value: Value) => string
export type Condition = (parameter: Parameter) => string

export function statement(write: (parameter: Parameter) => string): Statement {
  const params: Statement['params'] = []
  return { sql: write(value => `?${params.push(value)}`), params }
}

/** Inserts a row for each of these deliveries. @param copied maps columns of the new row to columns of the delivery */
export const insertFor = (
  deliveries: Condition,
  table: string,
  values: Record<string, Value>,
  copied: Record<string, string> = {},
  onConflict = '',
): Statement =>
  statement(parameter => {
    const columns = ['delivery', ...Object.keys(copied), ...Object.keys(values)]
    const selected = ['id', ...Object.values(copied), ...Object.values(values).map(parameter)]
    return `INSERT INTO ${table} (${columns.join(', ')})
      SELECT ${selected.join(', ')} FROM deliveries WHERE ${deliveries(parameter)} ${onConflict}`
  })

/** Repeats the last value until the length is a power of two, to limit the number of prepared statements. */
export function padded<T>(values: readonly T[]): T[] {
  if (values.length < 2) return [...values]
  const length = 2 ** Math.ceil(Math.log2(values.length))
  return Array.from({ length }, (_, i) => values[Math.min(i, values.length - 1)] as T)
}
