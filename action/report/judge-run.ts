import type { RunState } from '../../port/types.ts'

/** Whether a run in Port is this workflow run's to report, or why not. */
export type Verdict =
  | { verdict: 'ours' }
  | { verdict: 'silent'; message: string }
  | { verdict: 'duplicate'; message: string }

/**
 * @param runId null where Port was asked through the relay for a delivery without one
 * @param githubRunId of the workflow run that asks; a re-run keeps it
 */
export function judgeRun(runId: string | null, state: RunState, githubRunId: string): Verdict {
  if (state.ended) {
    return {
      verdict: 'silent',
      message:
        `Port's run ${runId} has already ended (${state.status}), as after a re-run, or when somebody ended it by ` +
        'hand. This job continues and is not reported.',
    }
  }
  if (state.synchronized) {
    return {
      verdict: 'silent',
      message:
        `Port's run ${runId} is synchronous: Port takes the answer to its webhook as the result, so it learns ` +
        'nothing of this job. To have it reported, turn the Port action\'s "Synchronous" setting off.',
    }
  }
  const other = state.externalRunId
  if (other !== null && /^\d+$/.test(other) && other !== githubRunId) {
    return {
      verdict: 'duplicate',
      message: `${runId === null ? "This delivery of Port's" : `Port's run ${runId}`} already runs in another workflow run, ${other}; this one is ${githubRunId}.`,
    }
  }
  return { verdict: 'ours' }
}
