import type { ClientPayload } from '../../port/client-payload.ts'
import type { Config } from '../config/config.ts'
import { createCredential } from './credential.ts'
import { type DispatchOutcome, HeldUpError, readDispatchError } from './dispatch-outcome.ts'
import { gatedCredential } from './gated-credential.ts'
import { createRateLimitGate } from './rate-limit-gate.ts'
import { createJobReader, type JobReader } from './read-jobs.ts'
import { createRepositoryReader, type RepositoryReader } from './read-repository.ts'
import { createRunReader, type RunReader } from './read-runs.ts'
import { repositoryDispatchRefusal, sendDispatch } from './send-dispatch.ts'
import { serverUrl } from './server-url.ts'

export type { WorkflowRun } from './workflow-run.ts'

export interface GitHub extends RunReader, JobReader, RepositoryReader {
  /** Where people look: `https://github.com`, or the server of GITHUB_API_URL. */
  serverUrl: string
  /**
   * Sends one `repository_dispatch`, and never a second time: it is not idempotent.
   *
   * @param sendBy after that, milliseconds since 1970, nothing is sent
   */
  dispatch(
    target: { repository: string; eventType: string },
    payload: ClientPayload,
    sendBy?: number,
  ): Promise<DispatchOutcome>
}

/** GitHub as the relay sees it, by token or as a GitHub App. */
export function createGitHub(
  config: Config['github'],
  clock: () => number = Date.now,
  gate = createRateLimitGate(config.auth, clock),
): GitHub {
  const credential = gatedCredential(createCredential(config, clock), gate, clock)
  return {
    serverUrl: serverUrl(config.apiUrl),
    ...createRunReader(credential),
    ...createJobReader(credential),
    ...createRepositoryReader(credential),
    async dispatch({ repository, eventType }, payload, sendBy = Number.POSITIVE_INFINITY) {
      const body = { event_type: eventType, client_payload: payload }
      let outcome: DispatchOutcome
      try {
        outcome = await credential.use(repository, octokit =>
          sendDispatch(octokit, repository, body, () => {
            if (clock() > sendBy) throw new HeldUpError()
          }),
        )
      } catch (error) {
        outcome = readDispatchError(error, {
          repository,
          now: clock(),
          refusal: (status, says) => repositoryDispatchRefusal(status, says, { repository, eventType }),
        })
      }
      // GitHub limits writes apart from reads: that it takes dispatches again, only a dispatch shows.
      if (outcome.kind === 'accepted' || outcome.kind === 'rejected') gate.passed(repository)
      const limited = outcome.kind === 'deferred' && outcome.cause === 'rate_limit'
      return limited ? { ...outcome, until: gate.closed(repository)?.closedUntil ?? outcome.until } : outcome
    },
  }
}
