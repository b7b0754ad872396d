import { isCut } from '../../port/text.ts'
import { runKind } from '../../port/types.ts'
import type { WorkflowRun } from '../github/runs.ts'
import type { Delivery, DeliveryRun, Evidence } from './delivery.ts'

/** The tolerance for GitHub's timestamps, which are in whole seconds. */
const LEEWAY_MS = 2_000
/** The tolerance for the measured difference from GitHub's clock. */
const CLOCK_MS = 60_000
/** If two workflows listen to a dispatch, GitHub can list the second workflow run this much later. */
const SETTLE_MS = 10_000

/** The facts that show which runs belong to a delivery. Times are milliseconds since 1970, by GitHub's clock. */
export interface BindingFacts {
  /** The runs from the list, and the runs that were read by ID. */
  runs: readonly WorkflowRun[]
  /** The delivery's runs, with GitHub's current data. */
  bound: DeliveryRun[]
  /** Runs that belong to other deliveries, and past runs of this delivery. */
  taken: ReadonlySet<number>
  /** By run ID: the newest delivery whose ID the run's title contains. Known for {@link unclearRuns}. */
  owners: ReadonlyMap<number, Pick<Delivery, 'id' | 'attemptedAt'>>
  externalRunId: number | null
  /** GitHub's time minus the relay's time, in milliseconds. */
  clockOffset: number
  dispatchedAt: number
  readAt: number
  startTimeout: number
  whole: boolean
  /** The event types of other deliveries to the repository that were dispatched up to a start timeout before this one, or later. */
  others: readonly { eventType: string | null }[]
}

type Named = Pick<Delivery, 'id' | 'runId' | 'eventType' | 'workflow' | 'ref'> & Course
type Course = Pick<Delivery, 'receivedAt' | 'queuedAt' | 'attemptedAt' | 'runs'>

/** The rules that bind runs to a delivery, the strongest first. The first rule that finds a run decides. */
const EVIDENCE: { evidence: Evidence; find: (delivery: Named, facts: BindingFacts) => WorkflowRun[] }[] = [
  { evidence: 'port', find: (_, { runs, externalRunId }) => runs.filter(run => run.id === externalRunId) },
  {
    evidence: 'title',
    find: (delivery, facts) =>
      facts.runs.filter(
        run => facts.owners.get(run.id)?.id === delivery.id && isCurrent(run, delivery, facts),
      ),
  },
  { evidence: 'candidate', find: findOnlyCandidate },
]

/**
 * Decides which runs belong to a delivery, by evidence. The order of runs isn't evidence. Pure.
 * @returns `candidates`: if no run belongs to the delivery, the runs that could. `elsewhere`: whether Port's run ID
 * belongs to a workflow run of another repository.
 */
export function bindRuns(delivery: Named, facts: BindingFacts) {
  const { bound, externalRunId: external, taken } = facts
  const free = freeRuns(delivery, facts).filter(run => !isForeign(run, delivery, facts))
  const matches = EVIDENCE.map(({ evidence, find }) =>
    find(delivery, { ...facts, runs: free }).map(run => toDeliveryRun(run, evidence)),
  )
  const runs = mergeRuns(bound, matches.find(found => found.length > 0) ?? [])
  return {
    runs,
    candidates: runs.every(run => run.past) ? candidates(delivery, { ...facts, runs: free }) : [],
    // GitHub's run IDs increase, so a run has a larger ID than the run that started it.
    elsewhere:
      external !== null &&
      !taken.has(external) &&
      runs.every(({ id, past }) => id < external || (past && id !== external)),
  }
}

/** Returns the new runs whose `owners` and `others` can affect the decision. */
export function unclearRuns(delivery: Named, facts: BindingFacts): WorkflowRun[] {
  const { bound, externalRunId } = facts
  const free = freeRuns(delivery, facts)
  if (free.some(run => run.id === externalRunId)) return []
  const mayBeOnly = bound.every(run => run.past)
  return free.filter(
    run =>
      !bound.some(each => each.id === run.id) &&
      (isNamed(run.title, delivery) || (mayBeOnly && isSinceDispatch(run, facts))),
  )
}

const freeRuns = (delivery: Named, { runs, taken, externalRunId }: BindingFacts) =>
  runs.filter(run => !taken.has(run.id) && (run.id === externalRunId || isOfTarget(run, delivery)))

/** Whether a run belongs to another delivery according to its title. */
function isForeign(run: WorkflowRun, delivery: Named, facts: BindingFacts): boolean {
  const owner = facts.owners.get(run.id)
  const isTitled = isNamed(run.title, delivery)
  if (run.id === facts.externalRunId || owner?.id === delivery.id) return false
  return owner ? isTitled || isOfAnother(run, [owner], facts) : !isTitled && hasPortRunId(run.title)
}

export const toDeliveryRun = (
  { id, attempt, status, conclusion, url }: WorkflowRun,
  evidence: Evidence,
): DeliveryRun => ({ id, attempt, evidence, past: false, status, conclusion, url })

export const startEvent = ({ workflow }: Pick<Delivery, 'workflow'>) =>
  workflow === null ? 'repository_dispatch' : 'workflow_dispatch'

/** Whether a run's event, workflow, and ref match the delivery. A value that GitHub omits always matches. */
export function isOfTarget(run: WorkflowRun, delivery: Pick<Delivery, 'workflow' | 'ref'>): boolean {
  const { workflow, ref } = delivery
  if (run.event !== 'unknown' && run.event !== startEvent(delivery)) return false
  if (workflow === null) return true
  const name = /^\d+$/.test(workflow) ? run.workflowId : run.workflow
  return (
    (name === null || String(name) === workflow) &&
    (ref === null || run.ref === null || ref.replace(/^refs\/(heads|tags)\//, '') === run.ref)
  )
}

/** `clockOffset`: GitHub's time minus the relay's time. `startTimeout`: RELAY_START_TIMEOUT. Both are in milliseconds. */
type Clocks = Pick<BindingFacts, 'clockOffset' | 'startTimeout'>

/**
 * Whether a run whose title contains the delivery's ID belongs to the delivery. Returns false for a run from before a
 * redelivery. If the delivery has a run, also returns false for a run that is much later than the dispatch, because a
 * later delivery can quote the ID.
 */
export function isCurrent(
  run: Pick<WorkflowRun, 'createdAt'>,
  { receivedAt, queuedAt, attemptedAt, runs }: Course,
  { clockOffset, startTimeout }: Clocks,
): boolean {
  const at = run.createdAt - clockOffset
  const isOlder = queuedAt !== receivedAt && at < queuedAt - CLOCK_MS
  const isLater = runs.some(each => !each.past) && at > (attemptedAt ?? queuedAt) + startTimeout + CLOCK_MS
  return !isOlder && !isLater
}

/** Whether a run could have been started by one of the other deliveries whose IDs its title contains. */
export const isOfAnother = (
  { createdAt }: Pick<WorkflowRun, 'createdAt'>,
  named: readonly Pick<Delivery, 'attemptedAt'>[],
  { clockOffset, startTimeout }: Clocks,
): boolean =>
  named.some(
    ({ attemptedAt }) =>
      attemptedAt !== null && Math.abs(createdAt - clockOffset - attemptedAt) <= startTimeout + CLOCK_MS,
  )

/** Returns the only candidate, unless another delivery could have started it, or its title contains an ID. */
function findOnlyCandidate(delivery: Named, facts: BindingFacts): WorkflowRun[] {
  const [run, second] = candidates(delivery, facts)
  if (!run || second || !facts.whole || facts.readAt < run.createdAt + SETTLE_MS) return []
  if (isNamed(run.title, delivery) || DELIVERY_ID.test(run.title) || hasPortRunId(run.title)) return []
  // If the title is the delivery's event type, deliveries with other event types can't have started the run.
  const isOfType = run.title === delivery.eventType
  const rivals = facts.others.filter(other => !isOfType || other.eventType === delivery.eventType)
  return rivals.length === 0 ? [run] : []
}

/** Returns the runs since the dispatch. Omits a `repository_dispatch` run whose title is the event type of another delivery. */
function candidates({ workflow, eventType }: Named, facts: BindingFacts): WorkflowRun[] {
  const types = workflow === null ? facts.others.map(other => other.eventType) : []
  const others = types.filter(type => type !== eventType)
  return facts.runs.filter(run => isSinceDispatch(run, facts) && !others.includes(run.title))
}

const isSinceDispatch = (
  { createdAt }: WorkflowRun,
  { dispatchedAt, startTimeout }: Pick<BindingFacts, 'dispatchedAt' | 'startTimeout'>,
): boolean => createdAt >= dispatchedAt - LEEWAY_MS && createdAt <= dispatchedAt + startTimeout + LEEWAY_MS

export const isNamed = (title: string, { id, runId }: Pick<Delivery, 'id' | 'runId'>): boolean =>
  contains(title, runId) || contains(title, id)

/** The format of a delivery ID, a version 7 UUID. A UUID of another version can identify an entity. */
const DELIVERY_ID = /[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}/
/** The format of a Port run ID. It excludes names such as `run_deployment` and `run_20261130T120000Z`. */
const PORT_RUN = /^(?:(?:r|wfnr)_|run_(?=.*[a-z]))(?=.*[A-Z0-9])[A-Za-z0-9]{8,64}$/

const hasPortRunId = (title: string) => title.split(/\W+/).some(word => PORT_RUN.test(word))

/** Whether the title contains the ID as a whole word: the title `r_12` doesn't contain the ID `r_1`. */
function contains(title: string, id: string | null): boolean {
  if (!id) return false
  for (let at = title.indexOf(id); at >= 0; at = title.indexOf(id, at + 1)) {
    if (!/\w/.test(title[at - 1] ?? ' ') && !/\w/.test(title[at + id.length] ?? ' ')) return true
  }
  return false
}

const UUID = /[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/gi
const MAX_IDS = 24

/** Returns the words in a title that can be IDs; none if there are too many, or GitHub has cut the title. */
export function titleIds(title: string): string[] {
  const find = (pattern: RegExp) => title.match(pattern) ?? []
  const runIds = [/[\w-]+/g, /\w+/g].flatMap(find).filter(word => runKind(word) !== 'none')
  const ids = [...new Set([...find(UUID), ...runIds])]
  return ids.length > MAX_IDS || isCut(title) ? [] : ids
}

/** The delay of the first poll after GitHub accepted the dispatch, the run reported, or the run was found. */
export const FIRST_POLL_MS = 5_000

/**
 * Whether a finished Port run finishes the delivery. False after a redelivery, because the Port run could have finished
 * before the redelivery. False after a cancellation, because the workflow run must still be canceled.
 */
export const followsPort = (delivery: Pick<Delivery, 'queuedAt' | 'receivedAt' | 'cancelRequestedAt'>) =>
  delivery.queuedAt === delivery.receivedAt && delivery.cancelRequestedAt === null

/** Returns the runs that decide the result: the current runs with stronger evidence than a title or, if there are none, all current runs. */
export function decisiveRuns(runs: readonly DeliveryRun[]): DeliveryRun[] {
  const present = runs.filter(run => !run.past)
  const known = present.filter(run => run.evidence !== 'title')
  return known.length > 0 ? known : present
}

export const boundRun = ({ runs }: Pick<Delivery, 'runs'>): DeliveryRun | null =>
  decisiveRuns(runs)[0] ?? null

/** Updates a run with GitHub's data. Ignores data about an older attempt, which a delayed replica of GitHub can return. */
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
 * Merges polled runs into a delivery's runs. Keeps changes that were made during the poll, such as a report. Adds no
 * run if the delivery has one with stronger evidence than a title.
 */
export function mergeRuns(known: readonly DeliveryRun[], seen: readonly DeliveryRun[]): DeliveryRun[] {
  const present = known.filter(run => !run.past)
  const isNew = (run: DeliveryRun) => !known.some(each => each.id === run.id)
  const mayBind = ({ evidence }: DeliveryRun) =>
    present.length === 0 || (evidence !== 'candidate' && present.every(run => run.evidence === 'title'))
  return [
    ...known.map(run => {
      const now = seen.find(each => each.id === run.id)
      // The run ID in Port is stronger evidence than the title, because the action in the workflow run wrote this ID.
      const isConfirmedByPort = run.evidence === 'title' && now?.evidence === 'port'
      return { ...refresh(run, now), ...(isConfirmedByPort && { evidence: 'port' as const }) }
    }),
    ...seen.filter(run => isNew(run) && mayBind(run)),
  ]
}

/** Parses Port's `externalRunId` as a GitHub run ID. Returns null if it isn't one. */
export const toGithubRunId = (id: string | null): number | null =>
  id !== null && /^\d{1,15}$/.test(id) ? Number(id) : null
