import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { parseWorkflow } from './read-workflow.ts'

/** Lints a workflow file with GitHub's own parser: its messages with line and column, none when it is right. */
export async function checkWorkflow(file: string): Promise<{ errors: string[] }> {
  const { errors } = await parseWorkflow(basename(file), await readFile(file, 'utf8'))
  return { errors }
}
