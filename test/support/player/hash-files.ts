import { createHash } from 'node:crypto'
import { globSync, readFileSync, statSync } from 'node:fs'
import { resolve, sep } from 'node:path'
import { data } from '@actions/expressions'
import type { FunctionDefinition } from '@actions/expressions/funcs/info'

const digest = (content: Buffer) => createHash('sha256').update(content).digest()

/**
 * `hashFiles()`: SHA-256 of the SHA-256 of each file in the job's folder that a pattern names, and none with `!`; empty
 * where there is no such file. One outside that folder does not count.
 * Source: hashFiles.ts of actions/runner.
 */
export function hashFiles(workspace: string): FunctionDefinition {
  return {
    // Where the evaluator looks for it.
    name: 'hashfiles',
    minArgs: 1,
    maxArgs: 255,
    call(...patterns) {
      const texts = patterns.map(pattern => pattern.coerceString())
      const exclude = texts.filter(text => text.startsWith('!')).map(text => text.slice(1))
      const named = texts.filter(text => !text.startsWith('!'))
      // A pattern may be absolute, and two may name one file.
      const found = new Set(
        globSync(named, { cwd: workspace, exclude }).map(file => resolve(workspace, file)),
      )
      const files = [...found]
        .filter(file => file.startsWith(workspace + sep) && statSync(file).isFile())
        .sort()
      const all = Buffer.concat(files.map(file => digest(readFileSync(file))))
      return new data.StringData(files.length === 0 ? '' : digest(all).toString('hex'))
    },
  }
}
