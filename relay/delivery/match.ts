import { runKind } from '../../port/types.ts'
import { isCut } from '../github/response.ts'
import type { WorkflowRun } from '../github/runs.ts'
import type { Delivery, Evidence } from './delivery.ts'

/** GitHub counts in seconds. */
export const LEEWAY_MS = 2_000
/** How well GitHub's clock is known. */
const CLOCK_MS = 60_000
/** By then GitHub shows the run of a second workflow that listens to the same event. */
const SETTLE_MS = 10_000

/** What the evidence is taken from. Times are milliseconds since 1970, by GitHub's clock. */
export interface BindingFacts {
  /** The present runs of the list, and those read by id. */
  runs: readonly WorkflowRun[]
  /** Runs that belong to another delivery, or whose titles name it, or that are past ones of this. */
  taken: ReadonlySet<number>
  /** Runs whose titles name a delivery, and can't decide whether they belong to it. */
  undecided: ReadonlySet<number>
  /** The run that the action has written to Port. */
  externalRunId: number | null
  /** GitHub's clock minus the relay's. */
  clockOffset: number
  /** When the delivery was dispatched. */
  dispatchedAt: number
  /** When the list was read. */
  readAt: number
  startTimeout: number
  /** Whether the list shows all runs since the dispatch. */
  whole: boolean
  /** Other deliveries dispatched to the repository within the start timeout, by event type. */
  others: readonly { eventType: string | null }[]
}

export interface Match {
  evidence: Evidence | null
  /** Those that belong to the delivery; without evidence, its candidates. */
  runs: WorkflowRun[]
}

type Named = Pick<Delivery, 'id' | 'runId' | 'eventType' | 'workflow' | 'ref'> & Course
/** What tells which runs are of a delivery's present course. */
type Course = Pick<Delivery, 'receivedAt' | 'queuedAt' | 'attemptedAt' | 'runs'>

/** What binds a run to a delivery, strongest first: the first that finds any decides. */
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

/**
 * Which workflow runs belong to a delivery that GitHub's answer and the action's report bind none to. Nothing is
 * inferred from order. Pure.
 */
export function matchRuns(delivery: Named, facts: BindingFacts): Match {
  const isPossible = (run: WorkflowRun) => run.id === facts.externalRunId || isOfTarget(run, delivery)
  const free = { ...facts, runs: facts.runs.filter(run => !facts.taken.has(run.id) && isPossible(run)) }
  for (const { evidence, find } of EVIDENCE) {
    const runs = find(delivery, free)
    if (runs.length > 0) return { evidence, runs }
  }
  return { evidence: null, runs: candidates(delivery, free) }
}

/** What starts the workflow runs of a delivery. */
export const startEvent = ({ workflow }: Pick<Delivery, 'workflow'>) =>
  workflow === null ? 'repository_dispatch' : 'workflow_dispatch'

/** Whether a run can be of the event, the workflow and the branch or tag that a delivery starts; of what GitHub does not name, it can. */
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

/** What a time of the relay is compared with: GitHub's clock minus the relay's, and RELAY_START_TIMEOUT; milliseconds. */
type Clocks = Pick<BindingFacts, 'clockOffset' | 'startTimeout'>

/**
 * Whether a run whose title names the delivery counts. One that is older than its redelivery does not; nor, where the
 * delivery has a run, one that a dispatch of so long ago cannot have started, as of a later delivery that names it.
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

/** Whether the latest dispatch of a delivery can have started a run. */
export function canHaveStarted(
  delivery: Pick<Delivery, 'workflow' | 'ref' | 'attemptedAt'>,
  run: WorkflowRun,
  { clockOffset, startTimeout }: Clocks,
): boolean {
  if (delivery.attemptedAt === null || !isOfTarget(run, delivery)) return false
  const after = run.createdAt - clockOffset - delivery.attemptedAt
  return after >= -LEEWAY_MS && after <= startTimeout + LEEWAY_MS
}

/**
 * Whether a run belongs to another delivery, since its title says so: to one of this relay whose dispatch can have started
 * it, or, where the title holds the id of a Port run that this relay does not know, to one of another relay.
 *
 * @param named the deliveries of this relay that the title names, this one left out
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

/** Exactly one run, where exactly one delivery can have started it. A title with an id may be of another relay's. */
function findOnlyCandidate(delivery: Named, facts: BindingFacts): WorkflowRun[] {
  const [run, second] = candidates(delivery, facts)
  if (!run || second || !facts.whole || facts.readAt < run.createdAt + SETTLE_MS) return []
  if (facts.undecided.has(run.id) || DELIVERY_ID.test(run.title) || hasPortRunId(run.title)) return []
  // A run titled with the event type belongs to a delivery of that type; any other could belong to any delivery.
  const isOfType = run.title === delivery.eventType
  const rivals = facts.others.filter(other => !isOfType || other.eventType === delivery.eventType)
  return rivals.length === 0 ? [run] : []
}

/** Runs created since the dispatch that are not titled with the event type of another delivery. */
function candidates(delivery: Named, facts: BindingFacts): WorkflowRun[] {
  const types = facts.others.map(other => other.eventType).filter(type => type !== delivery.eventType)
  return facts.runs.filter(run => isSinceDispatch(run, facts) && !types.includes(run.title))
}

export const isSinceDispatch = (
  { createdAt }: WorkflowRun,
  { dispatchedAt, startTimeout }: Pick<BindingFacts, 'dispatchedAt' | 'startTimeout'>,
): boolean => createdAt >= dispatchedAt - LEEWAY_MS && createdAt <= dispatchedAt + startTimeout + LEEWAY_MS

/** Whether a run's title holds the delivery's Port run id or its own id. */
export function isNamed(title: string, { id, runId }: Pick<Delivery, 'id' | 'runId'>): boolean {
  return contains(title, runId) || contains(title, id)
}

/** The id of a delivery, a UUID of version 7. One of another version is the id of something else, such as an entity. */
const DELIVERY_ID = /[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}/
/** The id of a Port run: 16 characters of chance. `run_deployment` is none, nor is `run_20261130T120000Z`. */
const PORT_RUN = /^(?:(?:r|wfnr)_|run_(?=.*[a-z]))(?=.*[A-Z0-9])[A-Za-z0-9]{8,64}$/

const hasPortRunId = (title: string) => title.split(/\W+/).some(word => PORT_RUN.test(word))

/** An id counts only as a whole: `r_1` is not in `r_12`. */
function contains(title: string, id: string | null): boolean {
  if (!id) return false
  for (let at = title.indexOf(id); at >= 0; at = title.indexOf(id, at + 1)) {
    if (!/\w/.test(title[at - 1] ?? ' ') && !/\w/.test(title[at + id.length] ?? ' ')) return true
  }
  return false
}

const UUID = /[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/gi
/** Limits the query: titles are short. */
const MAX_IDS = 24

/**
 * The parts of a run's title that may be the id of a Port run or of a delivery. None if there are too many to look up, or
 * if the title was cut: what is missing could name a later delivery.
 */
export function titleIds(title: string): string[] {
  const find = (pattern: RegExp) => title.match(pattern) ?? []
  const runIds = [/[\w-]+/g, /\w+/g].flatMap(find).filter(word => runKind(word) !== 'none')
  const ids = [...new Set([...find(UUID), ...runIds])]
  return ids.length > MAX_IDS || isCut(title) ? [] : ids
}
