import { playWorkflow } from './play-workflow.ts'
import type { PlayedRun, PlayOptions } from './types.ts'

/** "Re-run all jobs": the same run and payload, the next attempt. */
export async function rerunWorkflow(
  played: PlayedRun,
  changes: Partial<PlayOptions> = {},
): Promise<PlayedRun> {
  const { options, runId, attempt } = played
  return await playWorkflow({ ...options, ...changes, runId, attempt: attempt + 1 })
}
