import { isCurrent, isNamed, startEvent } from '../deliveries/binding/match-runs.ts'
import type { RepositoryFacts } from '../github/read-repository.ts'
import type { WorkflowRun } from '../github/workflow-run.ts'
import type { Delivery, DeliveryRun } from '../store/delivery.ts'
import type { RunClaims } from './verify-oidc.ts'

/*
 * Whether a workflow run may report for a delivery. Each check returns why not, for the log, or null where it may.
 */

/** Whether the delivery's dispatch can have started the run, by its claims. */
export function checkTarget(
  claims: RunClaims,
  { workflow, ref, attemptedAt }: Delivery,
  { defaultBranch }: RepositoryFacts,
): string | null {
  if (attemptedAt === null) return 'the delivery has not been dispatched'
  const event = startEvent({ workflow })
  if (claims.eventName !== event)
    return `the run was started by ${claims.eventName}, and the delivery by ${event}`
  // GitHub starts a repository_dispatch on the default branch alone.
  const refs = workflow === null || ref === null ? [`refs/heads/${defaultBranch}`] : refNames(ref)
  if (!refs.includes(claims.ref)) return `the run is on ${claims.ref}, and the delivery went to ${refs[0]}`
  // The name of the file may have an "@" as well.
  const file = claims.workflowRef
    .replace(/@refs\/.*$/s, '')
    .split('/')
    .at(-1)
  const isFile = workflow !== null && /\.ya?ml$/i.test(workflow)
  return isFile && file !== workflow.split('/').at(-1)
    ? `the run is of ${file}, and the delivery of ${workflow}`
    : null
}

/** A repository is identified by its id: its name may change. */
export function checkRepository(claims: RunClaims, { id }: RepositoryFacts): string | null {
  return claims.repositoryId === String(id)
    ? null
    : `the run is of ${claims.repository}, with the id ${claims.repositoryId}; the delivery went to the repository with the id ${id}`
}

/** Whether the runs that already belong to the delivery exclude this one. */
export function checkRuns({ runId }: RunClaims, { runs }: Delivery): 'duplicate' | 'past' | null {
  const present = runs.filter(run => !run.past)
  const isOther = (run: DeliveryRun) =>
    run.id !== runId && ['answer', 'report', 'port'].includes(run.evidence)
  if (present.some(isOther)) return 'duplicate'
  if (present.some(run => run.id === runId)) return null
  return runs.some(run => run.id === runId) ? 'past' : null
}

/** GitHub counts in seconds, and a run is made a moment after its dispatch. */
const LEEWAY_MS = 10_000

/**
 * Whether the run itself agrees, where GitHub shows it: it was created after the dispatch, and its title does not name
 * another delivery alone.
 *
 * @param namesAnother whether the title names another delivery, and not this one
 * @param clocks GitHub's clock minus the relay's, and RELAY_START_TIMEOUT; milliseconds
 */
export function checkRun(
  run: Pick<WorkflowRun, 'title' | 'createdAt'>,
  delivery: Delivery,
  namesAnother: boolean,
  clocks: { clockOffset: number; startTimeout: number },
): string | null {
  if (namesAnother) return 'the title of the run names another delivery'
  const dispatchedAt = (delivery.attemptedAt ?? delivery.queuedAt) + clocks.clockOffset
  const isAfter = isNamed(run.title, delivery)
    ? isCurrent(run, delivery, clocks)
    : run.createdAt >= dispatchedAt - LEEWAY_MS
  return isAfter ? null : 'the run was created before the dispatch'
}

function refNames(ref: string): string[] {
  return ref.startsWith('refs/') ? [ref] : [`refs/heads/${ref}`, `refs/tags/${ref}`]
}
