import { BoundedMap } from '../cache.ts'
import type { Delivery, DeliveryRun } from '../delivery/delivery.ts'
import type { DeliveryEvent, JobsFound, NoRun, Policy } from '../delivery/events.ts'
import {
  askInterval,
  type Found,
  isFinished,
  judge,
  type Observation,
  pollInterval,
} from '../delivery/observation.ts'
import { decisiveRuns, toGithubRunId } from '../delivery/runs.ts'
import type { GitHub } from '../github/client.ts'
import type { RequestBudget } from '../github/request-budget.ts'
import type { Store } from '../store/store.ts'
import type { ApplyEvent } from './apply.ts'
import type { FindRuns } from './find-runs.ts'
import { NO_PORT_RUN, type PortAccess } from './port-access.ts'
import { cancelRuns, findFailedJobs, readApprovals } from './run-details.ts'

export interface PollDeps {
  store: Pick<Store, 'clock'>
  github: Pick<
    GitHub,
    'jobs' | 'jobLog' | 'workflows' | 'cancelRun' | 'forceCancelRun' | 'pendingDeployments' | 'approvals'
  >
  findRuns: FindRuns
  apply: ApplyEvent
  port: PortAccess
  policy: Policy
  /** GitHub's clock minus the store's, milliseconds. */
  clockOffset: () => number
  /** Requests for jobs, their logs and workflows. */
  details: RequestBudget
  /** Requests for whom runs wait for, and who decided. */
  approvals: RequestBudget
}

/** What this relay remembers of a delivery between polls; if it is lost, the relay only polls more often. */
interface Note {
  /** When the delivery was queued: a redelivered one has a new note. */
  queuedAt: number
  /** When it first saw the runs finished. */
  finishedAt: number | null
  /** When Port's run is to be read again. */
  askAt: number
  /** When GitHub is to be asked again whom a run waits for, although Port shows it. */
  approvalsAt: number
}

/** Details wait for the budget no longer than this after the run's end, as GitHub dates it: a restart doesn't extend it. */
const DETAILS_MS = 60_000
/** If there are several environments, one may be approved while the run still waits. */
const APPROVALS_MS = 300_000
/** A limit, because another relay may finish a delivery. */
const MAX_NOTES = 20_000
/** Conclusions that need no details. */
const WITHOUT_DETAILS = ['success', 'neutral', 'skipped', 'startup_failure']

/**
 * Each step polls one dispatched or running delivery, and advances it if its workflow run was seen, has finished, or has
 * timed out.
 */
export function createPoll(deps: PollDeps): (delivery: Delivery) => Promise<void> {
  const { store, findRuns, port, policy, clockOffset, details, approvals } = deps
  /** Only on the version that was polled: if another change came first, the next poll decides. */
  const apply = (delivery: Delivery, event: DeliveryEvent) => deps.apply(delivery, event, { strict: true })
  const notes = new BoundedMap<string, Note>(MAX_NOTES)

  return async delivery => {
    const known = note(delivery)
    const maxAge = pollInterval(delivery, store.clock())
    let found = await findRuns(delivery, { maxAge, externalRunId: null })
    let state: Observation['port'] = port.canReport(delivery) ? 'unasked' : NO_PORT_RUN
    let verdict = judge(delivery, observe(), policy)
    if (verdict.kind === 'ask Port') {
      state = await port.read(delivery)
      known.askAt = Math.max(
        store.clock() + askInterval(delivery, store.clock()),
        port.freeAt(delivery.organization),
      )
      const externalRunId = toGithubRunId(typeof state === 'object' ? state.externalRunId : null)
      if (externalRunId !== null) found = await findRuns(delivery, { maxAge, externalRunId })
      verdict = judge(delivery, observe(), policy)
    }

    const { runs } = found
    const open = runs.filter(run => !run.past && run.status !== 'completed')
    if (verdict.kind === 'look again' && delivery.cancelRequestedAt !== null && open.length > 0) {
      const event = await cancelRuns(delivery, open, { github: deps.github, now: store.clock() })
      if (event) {
        const seen = await apply(delivery, { type: 'runsSeen', runs, pollAt: Math.ceil(verdict.at) })
        // GitHub has accepted the request, whatever else has happened.
        await deps.apply(seen.delivery, event)
        return
      }
    }
    // A run that is new to the delivery is bound first, so that its history shows by which evidence.
    const isNew = runs.some(run => !delivery.runs.some(each => each.id === run.id))
    if (isNew && verdict.kind !== 'ended in Port') {
      const pollAt = verdict.kind === 'look again' ? verdict.at : store.clock()
      await apply(delivery, { type: 'runsSeen', runs, pollAt })
      return
    }
    const waits = open.some(run => run.status === 'waiting')
    const isShown = delivery.waitingFor !== null
    const isDue = waits !== isShown || (waits && store.clock() >= known.approvalsAt)
    if (isDue && verdict.kind !== 'ended in Port') {
      const event = await readApprovals(delivery, runs, { github: deps.github, budget: approvals })
      const outcome = event && (await apply(delivery, event)).outcome
      if (outcome === 'applied' || (outcome === 'ignored' && isShown)) {
        known.approvalsAt = store.clock() + APPROVALS_MS
      }
      // The next poll does the rest.
      if (outcome !== null && outcome !== 'ignored') return
    }
    switch (verdict.kind) {
      case 'ask Port':
        return
      case 'look again':
        await apply(delivery, { type: 'runsSeen', runs, pollAt: verdict.at })
        return
      case 'cancelled in Port':
        await apply(delivery, { type: 'cancelRequested', by: 'port' })
        return
      case 'ended in Port':
        await apply(delivery, {
          type: 'finishedInPort',
          runs,
          conclusion: typeof state === 'object' ? state.status : 'unknown',
        })
        break
      case 'run ended':
        return end(delivery, verdict.run, found)
      default:
        await apply(delivery, {
          type: verdict.kind,
          cause: await explain(verdict.cause, delivery.repository),
        })
    }
    notes.delete(delivery.id)

    function observe(): Observation {
      const now = store.clock()
      known.finishedAt = isFinished(decisiveRuns(found.runs)) ? (known.finishedAt ?? now) : null
      return {
        ...{ now, found, port: state, portDue: now >= known.askAt },
        portFreeAt: port.freeAt(delivery.organization),
        finishedFor: now - (known.finishedAt ?? now),
      }
    }
  }

  function note({ id, queuedAt }: Delivery): Note {
    const before = notes.get(id)
    const known =
      before?.queuedAt === queuedAt ? before : { queuedAt, finishedAt: null, askAt: 0, approvalsAt: 0 }
    notes.set(id, known)
    return known
  }

  async function end(delivery: Delivery, run: DeliveryRun, { runs, snapshot }: Found): Promise<void> {
    let found: JobsFound | null = null
    if (port.canReport(delivery) && !WITHOUT_DETAILS.includes(run.conclusion ?? '')) {
      found = await findFailedJobs(delivery.repository, run, { github: deps.github, budget: details })
      const now = store.clock()
      const shown = snapshot.runs.get(run.id)
      const finishedAt = shown ? shown.updatedAt - clockOffset() : (note(delivery).finishedAt ?? now)
      const pollAt = Math.max(now + 1_000, details.freeAt())
      if (!found && pollAt < finishedAt + DETAILS_MS) {
        await apply(delivery, { type: 'runsSeen', runs, pollAt })
        return
      }
    }
    await apply(delivery, { type: 'runFinished', run, runs, found })
    notes.delete(delivery.id)
  }

  /** Adds what else is known of a repository in which nothing listens. */
  async function explain(cause: NoRun, repository: string): Promise<NoRun> {
    if (cause.why !== 'nothing listens' || !details.take()) return cause
    try {
      const workflows = await deps.github.workflows(repository)
      const disabled = workflows.filter(each => each.state.startsWith('disabled')).map(each => each.name)
      return { ...cause, disabled, workflows: workflows.length }
    } catch {
      return cause
    }
  }
}
