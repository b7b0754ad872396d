import { runKind } from '../../port/types.ts'
import { isCut } from '../github/response.ts'
import type { WorkflowRun } from '../github/runs.ts'
import type { Delivery, DeliveryRun, Evidence } from './delivery.ts'

/** Leeway for GitHub's timestamps, which have a resolution of one second. */
const LEEWAY_MS = 2_000
/** Uncertainty of GitHub's clock. */
const CLOCK_MS = 60_000
/** How long GitHub can take to list the second workflow run of a dispatch to which two workflows listen. */
const SETTLE_MS = 10_000

/** The facts that evidence is based on. Times are milliseconds since 1970, by GitHub's clock. */
export interface BindingFacts {
  /** Runs from the list, and runs that were read by id, without past runs. */
  runs: readonly WorkflowRun[]
  /** Runs that belong to other deliveries, and past runs of this delivery. */
  taken: ReadonlySet<number>
  /** Runs whose title contains a delivery's id, although the run possibly belongs to another delivery. */
  undecided: ReadonlySet<number>
  /** The run id that the action wrote to Port. */
  externalRunId: number | null
  /** GitHub's clock minus the relay's. */
  clockOffset: number
  dispatchedAt: number
  readAt: number
  startTimeout: number
  /** Whether the list contains all runs since the dispatch. */
  whole: boolean
  /** The event types of the other deliveries that were dispatched to the repository within the start timeout. */
  others: readonly { eventType: string | null }[]
}

export type Match = { evidence: Evidence | null; runs: WorkflowRun[] }

type Named = Pick<Delivery, 'id' | 'runId' | 'eventType' | 'workflow' | 'ref'> & Course
type Course = Pick<Delivery, 'receivedAt' | 'queuedAt' | 'attemptedAt' | 'runs'>

/** Rules that bind runs to a delivery, strongest first. The first rule that finds a run decides. */
const EVIDENCE: { evidence: Evidence; find: (delivery: Named, facts: BindingFacts) => WorkflowRun[] }[] = [
  { evidence: 'port', find: (_, { runs, externalRunId }) => runs.filter(run => run.id === externalRunId) },
  {
    evidence: 'title',
    find: (delivery, facts) =>
      facts.runs.filter(
        run =>
          isNamed(run.title, delivery) && isCurrent(run, delivery, facts) && !facts.undecided.has(run.id),
      ),
  },
  { evidence: 'candidate', find: findOnlyCandidate },
]

/** A pure function that finds the runs of a delivery by evidence. The order of runs isn't evidence. */
export function matchRuns(delivery: Named, facts: BindingFacts): Match {
  const isPossible = (run: WorkflowRun) => run.id === facts.externalRunId || isOfTarget(run, delivery)
  const free = { ...facts, runs: facts.runs.filter(run => !facts.taken.has(run.id) && isPossible(run)) }
  for (const { evidence, find } of EVIDENCE) {
    const runs = find(delivery, free)
    if (runs.length > 0) return { evidence, runs }
  }
  return { evidence: null, runs: candidates(delivery, free) }
}

export const startEvent = ({ workflow }: Pick<Delivery, 'workflow'>) =>
  workflow === null ? 'repository_dispatch' : 'workflow_dispatch'

/** Whether a run's event, workflow, and branch or tag match the delivery. A value that GitHub omits always matches. */
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

/** `clockOffset`: GitHub's clock minus the relay's, in milliseconds. `startTimeout`: RELAY_START_TIMEOUT in milliseconds. */
type Clocks = Pick<BindingFacts, 'clockOffset' | 'startTimeout'>

/**
 * Whether a run with the delivery's id in its title belongs to the delivery. Runs from before a redelivery are ignored.
 * If the delivery already has a run, much later runs are ignored, because a later delivery can quote the id.
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

/**
 * Whether a run's title shows that the run belongs to another delivery: a delivery in `named` could have started the
 * run, or the title contains a Port run id that this relay doesn't know.
 * @param named this relay's other deliveries whose ids the title contains
 */
export function isOfAnother(
  run: Pick<WorkflowRun, 'title' | 'createdAt'>,
  named: readonly Pick<Delivery, 'attemptedAt'>[],
  { clockOffset, startTimeout }: Clocks,
): boolean {
  if (named.length === 0) return hasPortRunId(run.title)
  const at = run.createdAt - clockOffset
  return named.some(
    ({ attemptedAt }) => attemptedAt !== null && Math.abs(at - attemptedAt) <= startTimeout + CLOCK_MS,
  )
}

/** Returns the only candidate, unless another delivery could have started the run, or the run's title contains an id. */
function findOnlyCandidate(delivery: Named, facts: BindingFacts): WorkflowRun[] {
  const [run, second] = candidates(delivery, facts)
  if (!run || second || !facts.whole || facts.readAt < run.createdAt + SETTLE_MS) return []
  if (facts.undecided.has(run.id) || DELIVERY_ID.test(run.title) || hasPortRunId(run.title)) return []
  // If the title is an event type, the run belongs to a delivery with that event type.
  const isOfType = run.title === delivery.eventType
  const rivals = facts.others.filter(other => !isOfType || other.eventType === delivery.eventType)
  return rivals.length === 0 ? [run] : []
}

/** Returns runs since the dispatch. For a `repository_dispatch`, omits runs whose title is another delivery's event type. */
function candidates({ workflow, eventType }: Named, facts: BindingFacts): WorkflowRun[] {
  const types = workflow === null ? facts.others.map(other => other.eventType) : []
  const others = types.filter(type => type !== eventType)
  return facts.runs.filter(run => isSinceDispatch(run, facts) && !others.includes(run.title))
}

export const isSinceDispatch = (
  { createdAt }: WorkflowRun,
  { dispatchedAt, startTimeout }: Pick<BindingFacts, 'dispatchedAt' | 'startTimeout'>,
): boolean => createdAt >= dispatchedAt - LEEWAY_MS && createdAt <= dispatchedAt + startTimeout + LEEWAY_MS

export const isNamed = (title: string, { id, runId }: Pick<Delivery, 'id' | 'runId'>): boolean =>
  contains(title, runId) || contains(title, id)

/** A delivery id is a version 7 UUID. UUIDs of other versions can identify other things, such as entities. */
const DELIVERY_ID = /[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}/
/** A Port run id has 16 random characters. `run_deployment` and `run_20261130T120000Z` aren't Port run ids. */
const PORT_RUN = /^(?:(?:r|wfnr)_|run_(?=.*[a-z]))(?=.*[A-Z0-9])[A-Za-z0-9]{8,64}$/

const hasPortRunId = (title: string) => title.split(/\W+/).some(word => PORT_RUN.test(word))

/** Whether the title contains the complete id: `r_12` doesn't contain `r_1`. */
function contains(title: string, id: string | null): boolean {
  if (!id) return false
  for (let at = title.indexOf(id); at >= 0; at = title.indexOf(id, at + 1)) {
    if (!/\w/.test(title[at - 1] ?? ' ') && !/\w/.test(title[at + id.length] ?? ' ')) return true
  }
  return false
}

const UUID = /[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/gi
const MAX_IDS = 24

/** Returns the possible ids in a title. Returns none if there are too many ids, or if GitHub has cut the title. */
export function titleIds(title: string): string[] {
  const find = (pattern: RegExp) => title.match(pattern) ?? []
  const runIds = [/[\w-]+/g, /\w+/g].flatMap(find).filter(word => runKind(word) !== 'none')
  const ids = [...new Set([...find(UUID), ...runIds])]
  return ids.length > MAX_IDS || isCut(title) ? [] : ids
}

/** Delay of the first poll after GitHub accepted a dispatch, or after a run reported or was found. */
export const FIRST_POLL_MS = 5_000

/**
 * Whether a finished Port run finishes the delivery. After a redelivery, a finished Port run doesn't finish the delivery,
 * because the run could have finished earlier. After a cancellation, the workflow run must still be canceled.
 */
export const followsPort = (delivery: Pick<Delivery, 'queuedAt' | 'receivedAt' | 'cancelRequestedAt'>) =>
  delivery.queuedAt === delivery.receivedAt && delivery.cancelRequestedAt === null

/** Returns the runs that decide the result: the runs with stronger evidence than a title, or else all current runs. */
export function decisiveRuns(runs: readonly DeliveryRun[]): DeliveryRun[] {
  const present = runs.filter(run => !run.past)
  const known = present.filter(run => run.evidence !== 'title')
  return known.length > 0 ? known : present
}

export const boundRun = ({ runs }: Pick<Delivery, 'runs'>): DeliveryRun | null =>
  decisiveRuns(runs)[0] ?? null

/** Updates a run with GitHub's data. Ignores the data of an older attempt, which a delayed replica can return. */
export function refresh(
  run: DeliveryRun,
  now: Pick<DeliveryRun, 'attempt' | 'status' | 'conclusion' | 'url'> | undefined,
): DeliveryRun {
  if (!now || run.past || now.attempt < run.attempt) return run
  if (now.attempt === run.attempt && run.status === 'completed') return run
  const { attempt, status, conclusion, url } = now
  return { ...run, attempt, status, conclusion, url: url || run.url }
}

/** The status of a second attempt that the relay has requested, until GitHub shows the attempt. */
export const REQUESTED = 'requested'

/**
 * Merges polled runs into a delivery's runs. Keeps changes that were recorded after the poll started, such as a report.
 * Adds no runs if the delivery has a run with stronger evidence than a title.
 */
export function mergeRuns(known: readonly DeliveryRun[], seen: readonly DeliveryRun[]): DeliveryRun[] {
  const present = known.filter(run => !run.past)
  const isNew = (run: DeliveryRun) => !known.some(each => each.id === run.id)
  const mayBind = ({ evidence }: DeliveryRun) =>
    present.length === 0 || (evidence !== 'candidate' && present.every(run => run.evidence === 'title'))
  return [
    ...known.map(run => {
      const now = seen.find(each => each.id === run.id)
      // The run id in Port is stronger evidence, because the action in the workflow run wrote this id.
      const isConfirmedByPort = run.evidence === 'title' && now?.evidence === 'port'
      return { ...refresh(run, now), ...(isConfirmedByPort && { evidence: 'port' as const }) }
    }),
    ...seen.filter(run => isNew(run) && mayBind(run)),
  ]
}

/** Parses Port's `externalRunId` as a GitHub run id. Returns null for any other value. */
export const toGithubRunId = (id: string | null): number | null =>
  id !== null && /^\d{1,15}$/.test(id) ? Number(id) : null
