import { nextMark } from './log-file.ts'
import { readLogRest } from './read-log-rest.ts'
import type { Runner } from './runner.ts'
import { stopProgress } from './stop-progress.ts'

/**
 * Ends the companion, and reads what it has left of the log file. Never rejects: the final status does not wait for a
 * file that somebody has broken.
 *
 * @returns the lines, and where there is trouble a sentence about it
 */
export async function takeLogRest(
  logFile: string,
  runner: Pick<Runner, 'clock' | 'sleep'>,
): Promise<{ lines: string[]; problem: string | null }> {
  try {
    const sent = await stopProgress(logFile, runner)
    return { lines: readLogRest(logFile, nextMark(logFile, sent).offset), problem: null }
  } catch (error) {
    const problem = `What is left in $PORT_LOG is not told to Port, since it could not be read: ${(error as Error).message}.`
    return { lines: [], problem }
  }
}
