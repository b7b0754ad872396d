import { cleanText } from '../../port/text.ts'
import type { Credential } from './credentials.ts'

export interface PendingDeployment {
  environment: string
  /** The environment's wait timer, in minutes; 0 for none. */
  waitTimer: number
  /** The users (by login) and teams (by name). One of them must approve. */
  reviewers: string[]
}

export interface Approval {
  environments: string[]
  /** `approved`, `rejected` or `pending`; GitHub can add values. */
  state: string
  by: string | null
  comment: string
}

/** Creates functions that read a run's pending and decided approvals. They throw Octokit's errors and CredentialError. */
export function createApprovalReader(credential: Credential) {
  return {
    pendingDeployments: (repository: string, runId: number): Promise<PendingDeployment[]> =>
      credential.use(repository, async (octokit, at) => {
        const { data } = await octokit.actions.getPendingDeploymentsForRun({ ...at, run_id: runId })
        return data.map(({ environment, wait_timer, reviewers }) => ({
          environment: cleanText(environment.name ?? ''),
          waitTimer: wait_timer,
          reviewers: readReviewers(reviewers),
        }))
      }),
    approvals: (repository: string, runId: number): Promise<Approval[]> =>
      credential.use(repository, async (octokit, at) => {
        const { data } = await octokit.actions.getReviewsForRun({ ...at, run_id: runId })
        return data.map(({ environments, state, user, comment }) => ({
          environments: environments.map(({ name }) => cleanText(name ?? '')),
          state,
          by: user ? cleanText(user.login) : null,
          comment: cleanText(comment ?? ''),
        }))
      }),
  }
}

type GivenReviewer = { reviewer?: { login?: string | null; name?: string | null } | null }

export const readReviewers = (reviewers: readonly GivenReviewer[] | null | undefined): string[] =>
  (reviewers ?? []).flatMap(({ reviewer }) => cleanText(reviewer?.login ?? reviewer?.name ?? '') || [])
