import { NO_ENTITIES_SENT, NOTHING_SENT } from '../progress/progress-folder.ts'
import { type Progress, stopProgress } from '../progress/stop-progress.ts'
import type { Topic } from '../runner/help.ts'
import type { JobFiles } from '../runner/job-files.ts'
import { nextMark } from '../runner/log-file.ts'
import { type RunFile, readRunFile } from '../runner/run-file.ts'
import type { Runner } from '../runner/runner.ts'
import { type RemainingEntities, readRemainingEntities } from './remaining-entities.ts'
import { readLinesFrom } from './remaining-log.ts'

/** What steps have appended to their files, as far as Port does not have it. */
export interface Remaining {
  lines: string[]
  /** How many lines before them Port may not have. */
  lost: number
  /** What `::add-mask::` lines have named, in what was sent too. */
  masks: string[]
  entities: RemainingEntities
  run: RunFile
  /** A sentence for each file that could not be read. */
  problems: { sentence: string; topic: Topic }[]
}

/**
 * Ends the progress reporter and reads what it has not sent. Never rejects: the final status does not wait for a file
 * that somebody has broken.
 */
export async function readRemaining(
  files: JobFiles,
  runner: Pick<Runner, 'clock' | 'sleep'>,
): Promise<Remaining> {
  const remaining: Remaining = {
    lines: [],
    lost: 0,
    masks: [],
    entities: { documents: [], lines: [], problems: [] },
    run: { statusLabel: '', links: [], summary: '', conclusion: null, problems: [] },
    problems: [],
  }
  const attempt = async (sentence: string, topic: Topic, work: () => Promise<void>) => {
    try {
      await work()
    } catch (error) {
      remaining.problems.push({ sentence: `${sentence}: ${(error as Error).message}.`, topic })
    }
  }
  let progress: Progress = { log: NOTHING_SENT, entities: NO_ENTITIES_SENT, masks: [] }
  await attempt(
    'The rest of $PORT_LOG is not sent to Port, since it could not be read',
    'port-log',
    async () => {
      progress = await stopProgress(files.log, runner)
      remaining.lost = progress.log.lost
      const { lines, masks } = readLinesFrom(files.log, nextMark(files.log, progress.log).offset)
      Object.assign(remaining, { lines, masks: [...progress.masks, ...masks] })
    },
  )
  await attempt(
    'The rest of $PORT_ENTITIES is not sent, since it could not be read',
    'entities',
    async () => {
      remaining.entities = readRemainingEntities(files.entities, progress.entities)
    },
  )
  await attempt('$PORT_RUN has no effect, since it could not be read', 'port-run', async () => {
    remaining.run = readRunFile(files.run, { ended: true })
  })
  return remaining
}
