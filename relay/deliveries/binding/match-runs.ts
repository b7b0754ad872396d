import type { WorkflowRun } from '../github/workflow-run.ts'
import type { Delivery, Sent } from '../store/delivery.ts'
import { shareRuns } from './share-runs.ts'

/** GitHub counts in seconds, and its clock is not ours. */
export const LEEWAY_MS = 5_000
/** Where the title names the delivery itself, a wrong clock alone must not hide the run. */
const WIDE_LEEWAY_MS = 60_000
/** How far back another dispatch may be, and its run still appear. */
export const LAG_MS = 10 * 60_000

/**
 * The id of a Port run: a title with another's is not a strange one. It stands by itself, and has a digit or a
 * capital in it: `run_deployment_of_prod` and `run_deployment` are words.
 */
const PORT_RUN = /(?<!\w)(?:r|run|wfnr)_(?=[A-Za-z0-9]+[A-Z0-9])[A-Za-z0-9]{8,}(?!\w)/

type Named = Pick<Delivery, 'id' | 'runId' | 'eventType'>
type Timed = Pick<Delivery, 'sentAt' | 'dispatchedAt' | 'receivedAt'>

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
   * Their title is the event type, as it is without a `run-name`, and these may be the delivery's; by order
   * `own` are. `missing`: one may still be to come.
   */
  | { kind: 'plain'; runs: WorkflowRun[]; own: WorkflowRun[]; missing: boolean }
  /**
   * These began at the time, under titles that name nothing known; or as many plain ones as to leave none for the
   * delivery, or, not `shared`, whose order tells nothing.
   */
  | { kind: 'strange'; runs: WorkflowRun[]; shared: boolean }
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
export const madeSince = ({ sentAt, dispatchedAt, receivedAt }: Timed): number =>
  (sentAt ?? dispatchedAt ?? receivedAt) - WIDE_LEEWAY_MS

/** The same of runs whose titles do not name the delivery. */
export const plainSince = (delivery: Timed): number => madeSince(delivery) + WIDE_LEEWAY_MS - LEEWAY_MS

/** Since when deliveries sent before this one are looked at, whose runs may still have been to come. */
export const othersSince = (delivery: Timed): number => madeSince(delivery) + WIDE_LEEWAY_MS - LAG_MS

/** Since when runs of those can have been made. */
export const othersMadeSince = (delivery: Timed): number => othersSince(delivery) - LEEWAY_MS

/** What is known of the other deliveries of a repository. */
interface Others {
  /** Those that were sent around the same time, all until `sentTo`. */
  sent: readonly Sent[]
  /** From when on all of them, and all runs, are there. All times are milliseconds since 1970. */
  since: number
  sentTo: number
  /** Whether some of the runs may be missing all the same. */
  partial: boolean
  /** How long before the delivery others were sent whose runs may still be to come, milliseconds. */
  lag: number
  /** Runs that are known to be of another delivery. */
  taken: ReadonlySet<number>
}

/**
 * Finds the runs of a delivery by what is known of it, else by their titles. Pure.
 *
 * @param runId the run that the action, or Port, has named
 * @param startTimeout how long after the dispatch a run that does not name the delivery may be its, milliseconds
 */
export function matchRuns(
  delivery: Delivery,
  runs: readonly WorkflowRun[],
  {
    runId,
    startTimeout,
    sent,
    since,
    sentTo,
    partial,
    lag,
    taken,
  }: Others & { runId: number | null; startTimeout: number },
): Match {
  if (runId !== null) return { kind: 'known', id: runId, run: runs.find(run => run.id === runId) ?? null }
  const past = new Set([...delivery.pastRuns, ...sent.flatMap(other => other.pastRuns)])
  const free = runs.filter(
    run => run.event === 'repository_dispatch' && !taken.has(run.id) && !past.has(run.id),
  )
  const named = free.filter(
    run => run.createdAt >= madeSince(delivery) && readTitle(run.title, delivery) === 'named',
  )
  if (named.length > 0) return { kind: 'own', runs: named }

  const from = plainSince(delivery)
  const until = (delivery.dispatchedAt ?? delivery.sentAt ?? delivery.receivedAt) + startTimeout + LEEWAY_MS
  const plain = free.filter(run => run.title === delivery.eventType && run.createdAt <= until)
  const mine = plain.filter(run => run.createdAt >= from)
  if (mine.length > 0) {
    // Later ones may be of deliveries that were not looked at.
    const shared = plain.filter(run => run.createdAt <= sentTo - LEEWAY_MS)
    const rivals = sent.filter(other => other.eventType === delivery.eventType && isOpen(other))
    const { id, seq } = delivery
    const times = { since, partial, lag, leeway: LEEWAY_MS }
    const given = shareRuns({ id, seq, sentAt: from + LEEWAY_MS }, shared, rivals, times)
    if (given === null) return { kind: 'strange', runs: mine, shared: false }
    const { own } = given
    return own.length > 0 ? { kind: 'plain', ...given } : { kind: 'strange', runs: mine, shared: true }
  }
  const eventTypes = new Set(sent.map(other => other.eventType))
  const strange = free.filter(
    ({ title, createdAt }) =>
      createdAt >= from && createdAt <= until && !eventTypes.has(title) && !PORT_RUN.test(title),
  )
  return strange.length > 0 ? { kind: 'strange', runs: strange, shared: true } : { kind: 'none' }
}

/** Whether the delivery may have a run that nobody named. */
const isOpen = ({ githubRunId, over }: Sent) => githubRunId === null && !over

/** An id stands by itself: `r_1` is not in `r_12`. */
function names(title: string, id: string | null): boolean {
  if (!id) return false
  for (let at = title.indexOf(id); at >= 0; at = title.indexOf(id, at + 1)) {
    if (!/\w/.test(title[at - 1] ?? ' ') && !/\w/.test(title[at + id.length] ?? ' ')) return true
  }
  return false
}
