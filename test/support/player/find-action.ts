import { existsSync } from 'node:fs'
import { join, matchesGlob, resolve } from 'node:path'
import type { RunState } from './job-state.ts'
import { type Action, readAction } from './read-action.ts'
import { refuse } from './refuse.ts'

/** The action that a `uses:` names: a directory of the repository, this project's own under any owner, or that of the option `actions`. */
export async function findAction(run: RunState, uses: string): Promise<Action> {
  const aliases = { ...run.options.actions, '*/port-webhook-action@*': './' }
  const alias = Object.entries(aliases).find(([pattern]) => pattern === uses || matchesGlob(uses, pattern))
  const directory = alias?.[1] ?? uses
  if (!alias && !uses.startsWith('./'))
    refuse(`the action "${uses}": name its directory in the option "actions"`)
  const path = resolve(run.repositoryRoot, directory)
  if (!existsSync(join(path, 'action.yml')))
    throw new Error(`There is no action.yml in ${path} ("uses: ${uses}").`)
  return await readAction(path)
}
