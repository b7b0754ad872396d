import { nextMark } from './log-file.ts'
import { readLogRest } from './read-log-rest.ts'
import type { Runner } from './runner.ts'
import { stopProgress } from './stop-progress.ts'

/**
 * Ends the companion, and reads what it has left of the log file. Never rejects: the final status does not wait for a
 * file that somebody has broken.
 *
 * @returns the lines; how many before them Port may not have; and where there is trouble a sentence about it
 */
export async function takeLogRest(
  logFile: string,
  runner: Pick<Runner, 'clock' | 'sleep'>,
): Promise<{ lines: string[]; lost: number; problem: string | null }> {
  let lost = 0
  try {
    const sent = await stopProgress(logFile, runner)
    lost = sent.lost
    return { lines: readLogRest(logFile, nextMark(logFile, sent).offset), lost, problem: null }
  } catch (error) {
    const problem = `What is left in $PORT_LOG is not told to Port, since it could not be read: ${(error as Error).message}.`
    return { lines: [], lost, problem }
  }
}
