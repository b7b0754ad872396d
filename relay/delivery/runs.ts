import type { Delivery, DeliveryRun } from './delivery.ts'

/** When the first poll is due after GitHub accepted a dispatch, or a run reported or was found. */
export const FIRST_POLL_MS = 5_000

/**
 * Whether a finished run in Port finishes the delivery. The run of a redelivered delivery may have finished before; and
 * if a user canceled the delivery, its workflow run is still to be canceled.
 */
export const followsPort = ({
  queuedAt,
  receivedAt,
  cancelRequestedAt,
}: Pick<Delivery, 'queuedAt' | 'receivedAt' | 'cancelRequestedAt'>): boolean =>
  queuedAt === receivedAt && cancelRequestedAt === null

/** The runs whose results decide: the one that is known to report, else all whose titles name the delivery. */
export function decisiveRuns(runs: readonly DeliveryRun[]): DeliveryRun[] {
  const present = runs.filter(run => !run.past)
  const known = present.filter(run => run.evidence !== 'title')
  return known.length > 0 ? known : present
}

/** The run that represents a delivery. */
export const boundRun = ({ runs }: Pick<Delivery, 'runs'>): DeliveryRun | null =>
  decisiveRuns(runs)[0] ?? null

/** A run as GitHub shows it now. An older attempt, as from a replica that lags behind, changes nothing. */
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
 * The runs of a delivery after a poll. What was recorded since the poll started, such as the action's report, stays; a
 * delivery that is bound by more than titles gets no further run.
 */
export function mergeRuns(known: readonly DeliveryRun[], seen: readonly DeliveryRun[]): DeliveryRun[] {
  const present = known.filter(run => !run.past)
  const isNew = (run: DeliveryRun) => !known.some(each => each.id === run.id)
  const mayBind = ({ evidence }: DeliveryRun) =>
    present.length === 0 || (evidence !== 'candidate' && present.every(run => run.evidence === 'title'))
  return [
    ...known.map(run => {
      const now = seen.find(each => each.id === run.id)
      // The run that Port names is known to report.
      const isConfirmedByPort = run.evidence === 'title' && now?.evidence === 'port'
      return { ...refresh(run, now), ...(isConfirmedByPort && { evidence: 'port' as const }) }
    }),
    ...seen.filter(run => isNew(run) && mayBind(run)),
  ]
}

/** A GitHub run id as Port's `externalRunId` holds it; null if it is something else. */
export const toGithubRunId = (id: string | null): number | null =>
  id !== null && /^\d{1,15}$/.test(id) ? Number(id) : null
