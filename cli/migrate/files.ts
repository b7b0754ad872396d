import { parseWorkflow } from '../../simulator/runner/parser.ts'
import type { Migrated, MigrateOptions } from './read-workflow.ts'
import { migrateWorkflow } from './workflow.ts'

type Files = ReadonlyMap<string, string>

/** Migrates a folder. If a workflow can't be migrated, the workflows that call it, or that it calls, stay unchanged. */
export async function migrateFiles(files: Files, options: MigrateOptions): Promise<Map<string, Migrated>> {
  const refused = new Map<string, Migrated>()
  for (;;) {
    const results = migrateAll(files, options, refused)
    const known = [...refused.keys()]
    for (const [name, result] of results) if (result.refused) refused.set(name, result)
    if (refused.size > known.length) continue
    const after = new Map([...results].map(([name, { text }]) => [name, text]))
    for (const [name, { text: changed }] of results) {
      const text = files.get(name)!
      if (changed === text) continue
      const other = known.find(each => calls(text, each) || calls(files.get(each)!, name))
      const problem = other
        ? `${other} can't be migrated, and this workflow calls it or is called by it.`
        : await check(name, files, after)
      const remarks = [{ line: 1, message: `${problem} The workflow stays as it is.` }]
      if (problem) refused.set(name, { text, remarks, reports: false, refused: true })
    }
    if (refused.size === known.length) return results
  }
}

const calls = (text: string, name: string) =>
  ['./', '$/'].some(root => text.includes(`${root}.github/workflows/${name}`))

/** Migrates called workflows before their callers. */
function migrateAll(files: Files, options: MigrateOptions, refused: Map<string, Migrated>) {
  let results = refused
  for (const _ of [...files, null]) {
    const known = results
    const migrate = (name: string, text: string) => refused.get(name) ?? migrateWorkflow(text, options, known)
    results = new Map([...files].map(([name, text]) => [name, migrate(name, text)]))
    if ([...results].every(([name, { text }]) => known.get(name)?.text === text)) break
  }
  return results
}

async function check(name: string, before: Files, after: Files): Promise<string | null> {
  const { errors } = await parseWorkflow(name, after.get(name)!, after)
  if (errors.length === 0) return null
  const { errors: old } = await parseWorkflow(name, before.get(name)!, before)
  const [what, said] = old.length > 0 ? ['rejects it', old] : ['would reject the result', errors]
  return `GitHub's parser ${what}: ${said.join('; ')}.`
}
