import { type FSWatcher, watch } from 'node:fs'
import { isAlive } from '../runner/processes.ts'
import type { ProgressFolder } from './progress-folder.ts'

/** No job of GitHub's runs longer than five days. */
const LONGEST_LIFE_MS = 5 * 24 * 3_600_000

/**
 * Ends the progress reporter: post asks for it, the job's temporary files are gone, or the runner is.
 *
 * @param worker the process id of the runner's worker; 0 where that cannot be known
 */
export function watchEnd(
  folder: Pick<ProgressFolder, 'path' | 'stopped'>,
  worker: number,
): { ended: AbortController; close(): void } {
  const ended = new AbortController()
  const look = () => {
    if (folder.stopped() || (worker > 0 && !isAlive(worker))) ended.abort()
  }
  const timers = [setInterval(look, 500), setTimeout(() => ended.abort(), LONGEST_LIFE_MS)]
  const watcher = openWatcher(folder.path, look)
  look()
  return {
    ended,
    close() {
      for (const timer of timers) clearTimeout(timer)
      watcher?.close()
    },
  }
}

/** Not every file system can be watched; the interval is enough then, and a little slower. */
function openWatcher(path: string, look: () => void): FSWatcher | null {
  try {
    return watch(path, look).on('error', () => {})
  } catch {
    return null
  }
}
