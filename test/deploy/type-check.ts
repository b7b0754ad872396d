import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const modules = join(import.meta.dirname, '../../node_modules')
const OPTIONS = [
  '--ignoreConfig',
  '--noEmit',
  '--strict',
  '--skipLibCheck',
  '--module',
  'nodenext',
  '--pretty',
  'false',
]

/** Returns the compiler's messages about a module, each on one line. */
export function typeCheck(source: string): string[] {
  // Not in a temporary folder, because the module imports packages.
  mkdirSync(join(modules, '.cache'), { recursive: true })
  const folder = mkdtempSync(join(modules, '.cache/type-check-'))
  try {
    writeFileSync(join(folder, 'checked.mts'), source)
    const { stdout } = spawnSync(join(modules, '.bin/tsc'), [...OPTIONS, 'checked.mts'], {
      cwd: folder,
      encoding: 'utf8',
    })
    return stdout.split('\n').filter(Boolean)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
