import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const modules = join(import.meta.dirname, '../../node_modules')
const OPTIONS = '--ignoreConfig --noEmit --strict --skipLibCheck --module nodenext --pretty false'.split(' ')

/** Returns the compiler's messages about a module, each on one line. */
export function typeCheck(source: string): string[] {
  // Not in a temporary folder, because the module imports packages.
  mkdirSync(join(modules, '.cache'), { recursive: true })
  const cwd = mkdtempSync(join(modules, '.cache/type-check-'))
  try {
    writeFileSync(join(cwd, 'checked.mts'), source)
    const tsc = join(modules, '.bin/tsc')
    const { stdout, stderr, status } = spawnSync(tsc, [...OPTIONS, 'checked.mts'], { cwd, encoding: 'utf8' })
    if (status !== 0 && !stdout) throw new Error(`tsc ended with ${status}: ${stderr}`)
    return stdout.split('\n').filter(Boolean)
  } finally {
    rmSync(cwd, { recursive: true })
  }
}
