import { expect } from 'vitest'
import { migrateFiles } from '../../cli/migrate/files.ts'
import type { Migrated, MigrateOptions } from '../../cli/migrate/read-workflow.ts'
import { parseWorkflow } from '../../simulator/runner/parser.ts'

export const OPTIONS: MigrateOptions = { action: 'org/port-webhook-action@v1', keepLogs: false }

/** Migrates texts by file name. Checks that GitHub's parser accepts them, and that a second run changes nothing. */
export async function migrateAll(
  texts: Record<string, string>,
  options: Partial<MigrateOptions> = {},
): Promise<Map<string, Migrated>> {
  const files = new Map(Object.entries(texts))
  const results = await migrateFiles(files, { ...OPTIONS, ...options })
  const after = new Map([...results].map(([name, { text }]) => [name, text]))
  for (const [name, text] of after) {
    expect((await parseWorkflow(name, files.get(name)!, files)).errors).toEqual([])
    expect((await parseWorkflow(name, text, after)).errors).toEqual([])
  }
  for (const [name, { text }] of await migrateFiles(after, { ...OPTIONS, ...options }))
    expect(text).toBe(after.get(name))
  return results
}

export async function migrateOne(text: string, options: Partial<MigrateOptions> = {}): Promise<Migrated> {
  return (await migrateAll({ 'a.yml': text }, options)).get('a.yml')!
}

export const remarksOf = ({ remarks }: Pick<Migrated, 'remarks'>): string[] =>
  remarks.map(({ line, message }) => `${line}: ${message}`)
