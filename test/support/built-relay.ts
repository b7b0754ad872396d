import { execFile } from 'node:child_process'
import { globSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const folder = join(root, 'relay/dist')
const lock = join(root, '.build.lock')

/** Returns the folder of the relay's bundle. First builds the bundle (about 30 s) if it is older than its sources. */
export async function builtRelay(): Promise<string> {
  // Test files run concurrently, but all builds share one folder for intermediate files.
  while (!isFresh()) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' })
    } catch {
      // A process that was killed during a build can't remove its lock.
      if (isAbandoned()) rmSync(lock, { recursive: true, force: true })
      else await sleep(200)
      continue
    }
    try {
      await run(process.execPath, ['build.ts'], { cwd: root })
      return folder
    } finally {
      rmSync(lock, { force: true })
    }
  }
  return folder
}

function isAbandoned(): boolean {
  try {
    const pid = Number(readFileSync(lock, 'utf8'))
    // The file is empty because the process that created it is about to write its own id.
    if (pid > 0) process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT'
  }
}

function isFresh(): boolean {
  try {
    const sources = globSync('{relay,port,action,cli,simulator,workflow-files}/**/*.ts', {
      cwd: root,
      exclude: ['**/dist/**'],
    })
    const others = [
      'build.ts',
      'package-lock.json',
      'README.md',
      'scripts/relay-package.ts',
      'scripts/licenses.ts',
    ]
    const newest = Math.max(...[...sources, ...others].map(file => statSync(join(root, file)).mtimeMs))
    return statSync(join(folder, 'cli.js')).mtimeMs > newest
  } catch {
    return false
  }
}
