import { join } from 'node:path'
import type { SourceFile } from 'typescript/unstable/ast'
import { API } from 'typescript/unstable/sync'

const root = join(import.meta.dirname, '..')

/**
 * Parses source files of this project. TypeScript's own process parses them.
 *
 * @param files relative to the project's folder
 */
export function parse(files: string[]): Map<string, SourceFile> {
  const api = new API({ cwd: root })
  try {
    const { program } = api.updateSnapshot({ openProjects: ['tsconfig.json'] }).getProjects()[0]!
    const parsed = (file: string): [string, SourceFile] => {
      const source = program.getSourceFile(join(root, file))
      if (!source) throw new Error(`${file} is not a file of tsconfig.json.`)
      return [file, source]
    }
    return new Map(files.map(parsed))
  } finally {
    api.close()
  }
}
