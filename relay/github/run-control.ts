import { RequestError } from '@octokit/request-error'
import type { Credential } from './credential.ts'
import { readMessage } from './github-answer.ts'
import { type DispatchPolicy, postDispatch } from './post-dispatch.ts'

/** Ends workflow runs; the credential needs Actions: write. Every function throws what Octokit throws, or CredentialError. */
export interface RunControl {
  /** Cancels a run; its jobs still run steps with `if: always()`, and post steps. `ended`: it has ended already. */
  cancelRun(repository: string, runId: number): Promise<'accepted' | 'ended'>
  /** For a run that {@link RunControl.cancelRun} had no effect on: nothing more of it runs, post steps included. */
  forceCancelRun(repository: string, runId: number): Promise<'accepted' | 'ended'>
}

export function createRunControl(credential: Credential, policy: DispatchPolicy): RunControl {
  const post = (route: 'cancel' | 'force-cancel', repository: string, runId: number) =>
    credential.use(repository, async octokit => {
      try {
        const address = `/actions/runs/{run_id}/${route}`
        const answer = await postDispatch(
          octokit,
          repository,
          address,
          { placeholders: { run_id: runId } },
          policy,
        )
        if ('foreign' in answer) throw new Error(answer.foreign)
        return 'accepted'
      } catch (error) {
        if (isEnded(error)) return 'ended'
        throw error
      }
    })
  return {
    cancelRun: (repository, runId) => post('cancel', repository, runId),
    forceCancelRun: (repository, runId) => post('force-cancel', repository, runId),
  }
}

/** A 409 may also be of a re-run that has not begun yet. */
function isEnded(error: unknown): boolean {
  if (!(error instanceof RequestError) || error.status !== 409 || !error.response) return false
  return !/not yet/i.test(readMessage(error.response.data))
}
