import type { Delivery, DeliveryRun } from './delivery.ts'

/** Delay of the first poll after GitHub accepted a dispatch, or after a run reported or was found. */
export const FIRST_POLL_MS = 5_000

/**
 * Whether a finished run in Port finishes the delivery. It doesn't after a redelivery, because the run could have
 * finished earlier, nor after a cancellation, because the workflow run still has to be canceled.
 */
export const followsPort = ({
  queuedAt,
  receivedAt,
  cancelRequestedAt,
}: Pick<Delivery, 'queuedAt' | 'receivedAt' | 'cancelRequestedAt'>): boolean =>
  queuedAt === receivedAt && cancelRequestedAt === null

/** Returns the runs that decide the result: runs bound by more than a title, or else all runs bound by title. */
export function decisiveRuns(runs: readonly DeliveryRun[]): DeliveryRun[] {
  const present = runs.filter(run => !run.past)
  const known = present.filter(run => run.evidence !== 'title')
  return known.length > 0 ? known : present
}

/** Returns the run that represents a delivery. */
export const boundRun = ({ runs }: Pick<Delivery, 'runs'>): DeliveryRun | null =>
  decisiveRuns(runs)[0] ?? null

/** Updates a run with GitHub's current data. Data of an older attempt, as from a lagging replica, is ignored. */
export function refresh(
  run: DeliveryRun,
  now: Pick<DeliveryRun, 'attempt' | 'status' | 'conclusion' | 'url'> | undefined,
): DeliveryRun {
  if (!now || run.past || now.attempt < run.attempt) return run
  if (now.attempt === run.attempt && run.status === 'completed') return run
  const { attempt, status, conclusion, url } = now
  return { ...run, attempt, status, conclusion, url: url || run.url }
}

/**
 * Merges polled runs into a delivery's runs. Changes recorded since the poll started, such as a report, are kept. A
 * delivery with a run that is bound by more than its title gets no further runs.
 */
export function mergeRuns(known: readonly DeliveryRun[], seen: readonly DeliveryRun[]): DeliveryRun[] {
  const present = known.filter(run => !run.past)
  const isNew = (run: DeliveryRun) => !known.some(each => each.id === run.id)
  const mayBind = ({ evidence }: DeliveryRun) =>
    present.length === 0 || (evidence !== 'candidate' && present.every(run => run.evidence === 'title'))
  return [
    ...known.map(run => {
      const now = seen.find(each => each.id === run.id)
      // The action reports from the run that Port names.
      const isConfirmedByPort = run.evidence === 'title' && now?.evidence === 'port'
      return { ...refresh(run, now), ...(isConfirmedByPort && { evidence: 'port' as const }) }
    }),
    ...seen.filter(run => isNew(run) && mayBind(run)),
  ]
}

/** Parses Port's `externalRunId` as a GitHub run id. Returns null if it is something else. */
export const toGithubRunId = (id: string | null): number | null =>
  id !== null && /^\d{1,15}$/.test(id) ? Number(id) : null
