import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Migrated } from '../../cli/migrate/read-workflow.ts'
import { migrate } from '../../cli/migrate.ts'
import { parseWorkflow } from '../../simulator/runner/parser.ts'
import { temporaryFolder } from '../support/relay.ts'
import { run } from '../support/run-command.ts'

type Result = Pick<Migrated, 'text' | 'refused'> & { remarks: string[] }

/** Runs the command on texts by file name. `remarks`: the file's lines on stderr. */
export async function runMigrate(
  texts: Record<string, string>,
  ...args: string[]
): Promise<Map<string, Result>> {
  const folder = temporaryFolder()
  const files = Object.keys(texts).map(name => join(folder, name))
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text)
  const { stdout, stderr } = await run(migrate, ['--json', ...args, ...files])
  const results = JSON.parse(stdout).files as { file: string; workflow: string; refused: boolean }[]
  const remarks = (file: string) => stderr.split('\n').flatMap(line => line.split(`${file}:`)[1] ?? [])
  return new Map(
    results.map(({ file, workflow: text, refused }) => [
      file.slice(folder.length + 1),
      { text, refused, remarks: remarks(file) },
    ]),
  )
}

/** Migrates texts by file name. Checks that GitHub's parser accepts them, and that a second run changes nothing. */
export async function migrateAll(
  texts: Record<string, string>,
  ...args: string[]
): Promise<Map<string, Result>> {
  const results = await runMigrate(texts, ...args)
  const after = Object.fromEntries([...results].map(([name, { text }]) => [name, text]))
  for (const files of [texts, after])
    for (const [name, text] of Object.entries(files))
      expect((await parseWorkflow(name, text, new Map(Object.entries(files)))).errors).toEqual([])
  for (const [name, { text }] of await runMigrate(after, ...args)) expect(text).toBe(after[name])
  return results
}

export const migrateOne = async (text: string, ...args: string[]): Promise<Result> =>
  (await migrateAll({ 'a.yml': text }, ...args)).get('a.yml')!
