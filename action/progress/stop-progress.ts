import { existsSync } from 'node:fs'
import { isAlive } from '../runner/processes.ts'
import type { Runner } from '../runner/runner.ts'
import {
  type EntitiesSent,
  NO_ENTITIES_SENT,
  NOTHING_SENT,
  progressFolder,
  type Sent,
} from './progress-folder.ts'

/** A request under way takes 10 s at most. */
const PATIENCE_MS = 12_000
/** A process that is killed is gone at once, if it can be killed. */
const KILL_MS = 1_000

/** What the progress reporter has done when it has ended. */
export interface Progress {
  log: Sent
  entities: EntitiesSent
  masks: string[]
}

/**
 * Ends the progress reporter once what it was sending is sent. One that does not end is killed, where it is sure that the
 * process is no other of the same pid; else it is left, and Port refuses what it sends after the final status.
 *
 * @returns what it has sent
 */
export async function stopProgress(
  logFile: string,
  { clock, sleep }: Pick<Runner, 'clock' | 'sleep'>,
): Promise<Progress> {
  const folder = progressFolder(logFile)
  if (!existsSync(folder.path)) return { log: NOTHING_SENT, entities: NO_ENTITIES_SENT, masks: [] }
  const pid = folder.pid()
  folder.stop()
  const deadline = clock() + PATIENCE_MS
  while (isAlive(pid) && folder.isItself(pid) !== false && clock() <= deadline + KILL_MS) {
    if (clock() > deadline && folder.pid() === pid && folder.isItself(pid) === true) {
      process.kill(pid, 'SIGKILL')
    }
    await sleep(5)
  }
  const progress = { log: folder.sent(), entities: folder.entities(), masks: folder.masks() }
  folder.remove()
  return progress
}
