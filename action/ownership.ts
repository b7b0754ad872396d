import type { RunState } from '../port/types.ts'
import type { Reporter } from './reporter/reporter.ts'
import type { Runner, State, Workflow } from './runner/runner.ts'

export type Verdict = { verdict: 'ours' } | { verdict: 'silent' | 'duplicate'; message: string }

/** Decides whether this workflow run reports to the Port run. @param githubRunId the workflow run's id, which re-runs keep */
export function checkRun(runId: string | null, state: RunState, githubRunId: string): Verdict {
  const silent = (reason: string): Verdict => ({
    verdict: 'silent',
    message: `Port's run ${runId} ${reason}`,
  })
  if (state.synchronized) {
    return silent(
      "is synchronous: Port uses the response to its webhook as the result, so this job isn't reported. To report the job, " +
        'set "synchronized": false in the Port action or in the node.',
    )
  }
  if (state.finished) {
    return silent(
      `has already finished (${state.status}): another job finished it, this job is a re-run, or a user finished it in Port. ` +
        "The job continues, but isn't reported.",
    )
  }
  const other = state.externalRunId
  if (other === null || !/^\d+$/.test(other) || other === githubRunId) return { verdict: 'ours' }
  const what = runId === null ? 'This delivery from Port' : `Port's run ${runId}`
  const message = `${what} already belongs to another workflow run, ${other}; this workflow run is ${githubRunId}.`
  return { verdict: 'duplicate', message }
}

/** Decides in post whether this job reports to the Port run. */
export async function findOwner(
  state: State,
  reporter: Pick<Reporter, 'read'>,
  workflow: Workflow,
  core: Runner['core'],
  failure: (error: unknown) => unknown,
): Promise<'ours' | 'another' | 'unknown'> {
  if (state.outlook === 'lost') return 'unknown'
  if (state.checked) return 'ours'
  try {
    const judged = checkRun(state.runId, await reporter.read(), workflow.runId)
    if (judged.verdict === 'ours') return 'ours'
    core.notice(judged.message)
    return 'another'
  } catch (error) {
    if (state.outlook !== 'doubtful') failure(error)
    return 'unknown'
  }
}
