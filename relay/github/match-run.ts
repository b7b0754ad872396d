import type { Delivery } from '../store/delivery.ts'
import type { WorkflowRun } from './workflow-run.ts'

/** GitHub counts in seconds, and its clock is not ours. */
const LEEWAY_MS = 5_000
/** Where the title names the delivery itself, a wrong clock alone must not hide the run. */
const WIDE_LEEWAY_MS = 60_000

/** The id of a Port run: a title with another's is not a strange one. */
const PORT_RUN = /\b(?:r|run|wfnr)_[A-Za-z0-9]{8,}/

type Named = Pick<Delivery, 'id' | 'runId' | 'eventType'>

/** Which workflow runs may be those of a delivery. */
export type Match =
  /** This one: the action, or Port, has named it; or, `guessed`, its title did before it went out of sight. */
  | { kind: 'known'; id: number; run: WorkflowRun | null; guessed?: boolean }
  /**
   * Their titles name the delivery. There may be several, or one may still be to come, as when two workflows
   * listen; only the action's word tells which of them reports, so none is bound to the delivery for its title.
   */
  | { kind: 'own'; runs: WorkflowRun[] }
  /**
   * Their title is the event type, as it is without a `run-name`. `others`: so many other deliveries may be
   * behind them as well.
   */
  | { kind: 'plain'; runs: WorkflowRun[]; others: number }
  /** These began at the time, under titles that name nothing known. */
  | { kind: 'strange'; runs: WorkflowRun[] }
  | { kind: 'none' }

/**
 * Whether a run's title names a delivery (`named`: it holds the Port run id, or the delivery's own id), or
 * just its event type (`plain`).
 */
export function readTitle(title: string, { id, runId, eventType }: Named): 'named' | 'plain' | null {
  if (names(title, runId) || names(title, id)) return 'named'
  return title === eventType ? 'plain' : null
}

/** Since when runs of a delivery can have been made. */
export const madeSince = ({ sentAt, dispatchedAt, receivedAt }: Delivery): number =>
  (sentAt ?? dispatchedAt ?? receivedAt) - WIDE_LEEWAY_MS

/**
 * Finds the runs of a delivery by what is known of it, else by their titles. Pure.
 *
 * @param runId the run that the action, or Port, has named
 * @param others further deliveries of the repository whose run is not known
 * @param taken runs that are known to be of another delivery
 */
export function matchRuns(
  delivery: Delivery,
  runs: readonly WorkflowRun[],
  { runId, others, taken }: { runId: number | null; others: readonly Delivery[]; taken: ReadonlySet<number> },
): Match {
  if (runId !== null) return { kind: 'known', id: runId, run: runs.find(run => run.id === runId) ?? null }
  const since = madeSince(delivery)
  const made = runs.filter(
    run => run.event === 'repository_dispatch' && run.createdAt >= since && !taken.has(run.id),
  )
  const eventTypes = new Set(others.map(other => other.eventType))
  const isStrange = ({ title }: WorkflowRun) => !eventTypes.has(title) && !PORT_RUN.test(title)
  const named = made.filter(run => readTitle(run.title, delivery) === 'named')
  if (named.length > 0) return { kind: 'own', runs: named }
  const plain = made.filter(
    run => run.title === delivery.eventType && run.createdAt >= since + WIDE_LEEWAY_MS - LEEWAY_MS,
  )
  if (plain.length === 0) {
    const strange = made.filter(run => run.createdAt >= since + WIDE_LEEWAY_MS - LEEWAY_MS && isStrange(run))
    return strange.length > 0 ? { kind: 'strange', runs: strange } : { kind: 'none' }
  }
  const like = others.filter(
    other =>
      other.id !== delivery.id &&
      other.eventType === delivery.eventType &&
      plain.some(run => run.createdAt >= madeSince(other) + WIDE_LEEWAY_MS - LEEWAY_MS),
  )
  return { kind: 'plain', runs: plain, others: like.length }
}

/** An id stands by itself: `r_1` is not in `r_12`. */
function names(title: string, id: string | null): boolean {
  if (!id) return false
  for (let at = title.indexOf(id); at >= 0; at = title.indexOf(id, at + 1)) {
    if (!/\w/.test(title[at - 1] ?? ' ') && !/\w/.test(title[at + id.length] ?? ' ')) return true
  }
  return false
}
