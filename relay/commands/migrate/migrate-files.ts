import { checkWorkflow } from './check-workflow.ts'
import { migrateWorkflow } from './migrate-workflow.ts'
import type { Migrated, MigrateOptions } from './types.ts'

/** A workflow by its file name, which is what others call it by. */
export interface WorkflowFile {
  name: string
  text: string
  options: MigrateOptions
}

/** @property problem what GitHub's parser says against it, so that it stays as it is */
export type MigratedFile = Migrated & { problem: string | null }

/**
 * Rewrites the workflows of one folder, which may call each other. What one of them loses as an input, its callers hand
 * on no more; so where one cannot be rewritten, those that it calls and those that call it stay too.
 *
 * @returns the results in the order of the files
 */
export async function migrateFiles(files: WorkflowFile[]): Promise<MigratedFile[]> {
  const kept = new Map<string, MigratedFile>()
  const before = new Map(files.map(({ name, text }) => [name, text]))
  for (;;) {
    const results = rewriteAll(files, kept)
    const after = new Map([...results].map(([name, { text }]) => [name, text]))
    const count = kept.size
    for (const { name } of files) {
      const result = results.get(name)!
      const isTouched = [name, ...results.keys()].some(
        each => results.get(each)!.changed && (each === name || calls(result.text, each)),
      )
      if (kept.has(name) || (!isTouched && !result.refused)) continue
      const problem = result.refused ? null : await problemOf(name, result.changed, before, after)
      if (problem !== null || result.refused)
        kept.set(name, { ...result, text: before.get(name)!, changed: false, problem })
    }
    for (const { name, text } of files) {
      const other = [...kept.keys()].find(each => calls(text, each) || calls(before.get(each)!, name))
      if (kept.has(name) || !results.get(name)!.changed || other === undefined) continue
      const message = `${other} calls it, or is called by it, and stays as it is: so does this one.`
      kept.set(name, { ...unchanged(text), findings: [{ line: 1, level: 'todo', message }], problem: null })
    }
    if (kept.size === count)
      return files.map(({ name }) => kept.get(name) ?? { ...results.get(name)!, problem: null })
  }
}

const unchanged = (text: string): Migrated => ({
  text,
  changed: false,
  findings: [],
  refused: false,
  mayEnd: false,
  removed: new Map(),
})

const calls = (text: string, name: string): boolean => text.includes(`./.github/workflows/${name}`)

/** Rewrites files until what they call is known: a call may be of a workflow that calls another. */
function rewriteAll(
  files: WorkflowFile[],
  kept: ReadonlyMap<string, Migrated>,
): ReadonlyMap<string, Migrated> {
  let results: ReadonlyMap<string, Migrated> = kept
  for (let depth = 0; ; depth++) {
    const next = new Map(
      files.map(({ name, text, options }) => [
        name,
        kept.get(name) ?? migrateWorkflow(text, options, results),
      ]),
    )
    const isSettled = files.every(({ name }) => next.get(name)!.text === results.get(name)?.text)
    if (isSettled || depth > files.length) return next
    results = next
  }
}

async function problemOf(
  name: string,
  changed: boolean,
  before: Map<string, string>,
  after: Map<string, string>,
): Promise<string | null> {
  const errors = await checkWorkflow(name, after.get(name)!, after)
  if (errors.length === 0) return null
  const old = await checkWorkflow(name, before.get(name)!, before)
  if (old.length === 0) return `GitHub's parser would refuse it: ${errors.join('; ')}`
  return changed ? `GitHub's parser refuses it as it is: ${old.join('; ')}` : null
}
