import { worstOf } from '../../port/client/run-bodies.ts'
import type { Conclusion } from '../../port/types.ts'
import type { Job } from '../github/jobs.ts'
import type { Delivery, DeliveryRun } from './delivery.ts'
import type { NoRun, Policy } from './events.ts'
import { boundRun } from './match.ts'
import type { Ending } from './outcome.ts'
import { actionsPage, CANCELLED, outcomeOf, outcomeOfRun, outcomeWithoutRun, unknown } from './outcome.ts'
import { withRejected } from './rejected.ts'
import { conclusionOfAuthors, resultOfJobs } from './reported.ts'
import { withFirstAttempt } from './rerun.ts'

const LABEL = { success: 'Succeeded', failure: 'Failed', cancelled: 'Canceled' }

const byAction = (conclusion: Conclusion, sentence: string): Ending => ({
  ...{ state: 'finished', outcome: outcomeOf(conclusion), conclusion, label: LABEL[conclusion], sentence },
})

/** A delivery's finished workflow run with its jobs, or the reason why there is none. */
type Seen = { run: DeliveryRun; jobs: Job[] | null } | { cause: NoRun }

/**
 * Decides the result of a dispatched delivery. The first row that applies decides:
 *
 * | workflow run | a user canceled | jobs have reported | result |
 * |---|---|---|---|
 * | finished as `cancelled` | yes | – | canceled |
 * | finished | – | – | GitHub's conclusion, or a worse conclusion that the author set or that a rejected entity causes |
 * | none, or deleted after the relay canceled it | yes | – | canceled |
 * | none that the relay can identify | yes | – | unknown |
 * | deleted or unreadable | – | yes | the worst result of the jobs |
 * | none, deleted, unreadable, or too long | – | – | not started or unknown |
 */
export function decide(delivery: Delivery, seen: Seen, policy: Pick<Policy, 'serverUrl'>): Ending {
  const { repository } = delivery
  const isCanceled = delivery.cancelRequestedAt !== null
  if ('run' in seen) {
    const { run } = seen
    if (isCanceled && run.conclusion === 'cancelled') return CANCELLED
    const ofGitHub = outcomeOfRun(delivery, run, seen.jobs)
    const author = conclusionOfAuthors(delivery, run)
    const sentence = `The workflow run in ${repository} finished as "${run.conclusion}" on GitHub, but the workflow set the conclusion "${author}" in $PORT_RUN or with the input needs.`
    const isAuthors = worstOf([author, ofGitHub.conclusion]) !== ofGitHub.conclusion
    const ending = withRejected(delivery, run.attempt, isAuthors ? byAction(author, sentence) : ofGitHub)
    return withFirstAttempt(delivery, run.attempt, ending)
  }
  const { cause } = seen
  const ending = outcomeOfJobs(delivery, cause) ?? outcomeWithoutRun(cause, delivery)
  return isCanceled ? cancelledWithoutRun(cause, ending, delivery, policy) : ending
}

/** Returns the result that jobs reported, if GitHub doesn't show the workflow run; otherwise, null. */
function outcomeOfJobs(delivery: Delivery, cause: NoRun): Ending | null {
  const result = resultOfJobs(delivery)
  if (result === null || (cause.why !== 'deleted' && cause.why !== 'end not seen')) return null
  const why =
    cause.why === 'deleted'
      ? `the workflow run in ${delivery.repository} was deleted on GitHub`
      : `the relay can't read the workflow run in ${delivery.repository}: ${cause.reason}. To get the result of the whole workflow run, give the relay the permission Actions: read`
  const ending = byAction(result, `The result in Port is the result that a job reported, because ${why}.`)
  return withRejected(delivery, boundRun(delivery)?.attempt, ending)
}

/** Returns the result of a canceled delivery without a finished workflow run: canceled if the run was deleted or never started. */
function cancelledWithoutRun(
  cause: NoRun,
  ending: Ending,
  { repository, cancelSentAt }: Delivery,
  { serverUrl }: Pick<Policy, 'serverUrl'>,
): Ending {
  if (cause.why === 'nothing listens' || (cause.why === 'deleted' && cancelSentAt !== null)) return CANCELLED
  if (cause.why !== 'not seen' && cause.why !== 'unidentified') return ending
  const page = actionsPage(serverUrl, repository)
  return unknown(
    'Unknown',
    `A user canceled the delivery, but the relay couldn't cancel a workflow run on GitHub. A workflow run may still be in progress: see ${page}. ${ending.sentence}`,
  )
}
