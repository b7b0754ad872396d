import type { LogLine } from '../../port/types.ts'
import { BoundedMap } from '../cache.ts'
import type { Delivery, DeliveryRun } from '../delivery/delivery.ts'
import type { DeliveryEvent, Policy } from '../delivery/events.ts'
import { decisiveRuns, refresh, toGithubRunId } from '../delivery/match.ts'
import type { Observation, PollStep } from '../delivery/observation.ts'
import { isFinished, nextStep } from '../delivery/observation.ts'
import { pollInterval, portInterval, quickReads, startedAt } from '../delivery/poll-interval.ts'
import { hasReported } from '../delivery/reported.ts'
import { canRerun, SEND_MS } from '../delivery/rerun.ts'
import type { GitHub } from '../github/client.ts'
import type { Job } from '../github/jobs.ts'
import type { RequestBudget } from '../github/rate-limit-pause.ts'
import { findResponse } from '../github/response.ts'
import type { WorkflowRun } from '../github/runs.ts'
import type { createFindListeners } from '../github/workflow-files.ts'
import type { Store } from '../store/store.ts'
import type { ApplyEvent } from './apply.ts'
import type { FindRuns } from './find-runs.ts'
import type { Freezes } from './freezes.ts'
import { NO_PORT_RUN, type PortAccess } from './outbox.ts'
import { cancelRuns, findFailedJobs, readApprovals, readWait, rerunFailedJobs } from './run-details.ts'

/** What polls keep in memory about a delivery. Without a note, the relay sends more requests than necessary, but decides the same. */
interface Note {
  queuedAt: number
  finishedAt: number | null
  portAt: number
  /** When the latest quick read started: a read of the workflow run by its ID after a job's last report. */
  quickAt: number
  approvalsAt: number
}

/** The interval between reads of approvals while a run waits. A run can wait for several environments, which are approved at different times. */
const APPROVALS_MS = 300_000
/** BURST_MS: the period of GitHub's limit on queued workflow runs. LAG_MS: the time until a dispatch's run is created. */
const BURST_MS = 10_000
const LAG_MS = 2_000
const MAX_NOTES = 20_000
/** The maximum number of concurrent reads that confirm results. It is low, because GitHub limits concurrent requests, and dispatches need them. */
const CONFIRMS_AT_ONCE = 10
const FROZEN: LogLine = {
  level: 'WARN',
  message: "The failed jobs aren't run again, because a deploy freeze applies to the repository.",
}

/** Creates a function that polls a delivery. A poll reads the data that `nextStep` requests, until `nextStep` returns an event. */
export function createPoll(deps: {
  store: Pick<Store, 'clock'>
  github: GitHub
  findRuns: FindRuns
  findListeners: ReturnType<typeof createFindListeners>
  apply: ApplyEvent
  freezes: Pick<Freezes, 'read' | 'find'>
  port: PortAccess
  policy: () => Policy
  /** GitHub's time minus the store's time, in milliseconds. */
  clockOffset: () => number
  details: RequestBudget
  approvals: RequestBudget
  /** The budget for reads that confirm that a run has finished. */
  confirms: RequestBudget
}) {
  const { store, github, findRuns, findListeners, port, policy, clockOffset, details, approvals, confirms } =
    deps
  let confirming = 0
  /** Applies an event, unless the delivery has changed during the poll. In that case, the next poll decides. */
  const apply = (delivery: Delivery, event: DeliveryEvent) => deps.apply(delivery, event, { strict: true })
  const notes = new BoundedMap<string, Note>(MAX_NOTES)

  return async (delivery: Delivery): Promise<void> => {
    const known = note(delivery)
    const { repository } = delivery
    const now = store.clock()
    const maxAge = pollInterval(delivery, now)
    const quick = quickReads(delivery).some(at => at <= now && at > known.quickAt)
    if (quick) known.quickAt = now
    const canReport = port.canReport(delivery)
    let seen: Observation = {
      found: await findRuns(delivery, { maxAge, externalRunId: null, quick }),
      ...{ canReport, port: canReport ? 'not read' : NO_PORT_RUN, jobs: 'not read', confirmed: 'not read' },
      ...{ listeners: 'not read', wait: 'not read', approvals: 'not due', cancelTried: false },
      ...{ now: 0, portDue: false, portFreeAt: 0, finishedSince: null, clockOffset: 0 },
    }
    for (;;) {
      seen = atPresent(seen)
      const step = nextStep(delivery, seen, policy())
      if (step.do === 'apply') {
        await apply(delivery, await withQueued(step.event))
        return
      }
      const more = await take(step)
      if (more === 'done') return
      seen = { ...seen, ...more }
    }

    /** Adds to the event which workflows listen, and how many workflow runs were created around the dispatch, because GitHub blocks bursts without an error. */
    async function withQueued(event: DeliveryEvent): Promise<DeliveryEvent> {
      if (event.type !== 'startTimedOut' || event.cause.why !== 'nothing listens' || !details.take())
        return event
      const at = startedAt(delivery) + clockOffset()
      const queued = await github.countRuns(repository, at - BURST_MS, at + LAG_MS).catch(() => 0)
      const { eventType } = delivery
      const listeners = eventType === null ? 'unknown' : await findListeners(repository, eventType)
      return { ...event, cause: { ...event.cause, queued, listeners } }
    }

    function atPresent(before: Observation): Observation {
      const now = store.clock()
      known.finishedAt = isFinished(decisiveRuns(before.found.runs)) ? (known.finishedAt ?? now) : null
      return {
        ...before,
        ...{ now, portDue: now >= known.portAt, finishedSince: known.finishedAt, clockOffset: clockOffset() },
        portFreeAt: port.pausedUntil(),
        approvals: before.approvals === 'not due' && now >= known.approvalsAt ? 'due' : before.approvals,
      }
    }

    /** Takes a step of the poll. @returns what the step has read, or `done` if it was the last step */
    async function take(step: Exclude<PollStep, { do: 'apply' }>): Promise<Partial<Observation> | 'done'> {
      const { eventType } = delivery
      const { runs } = seen.found
      switch (step.do) {
        case 'read Port': {
          const run = await port.read(delivery)
          const now = store.clock()
          known.portAt = Math.max(now + portInterval(delivery, now), port.pausedUntil())
          const externalRunId = toGithubRunId(typeof run === 'object' ? run.externalRunId : null)
          if (externalRunId === null) return { port: run }
          return { port: run, found: await findRuns(delivery, { maxAge, externalRunId }) }
        }
        case 'read approvals': {
          const event = await readApprovals(delivery, runs, { github, budget: approvals })
          const outcome = event && (await apply(delivery, event)).outcome
          if (outcome === 'applied' || (outcome === 'ignored' && delivery.waitingFor !== null)) {
            known.approvalsAt = store.clock() + APPROVALS_MS
          }
          return outcome === null || outcome === 'ignored' ? { approvals: 'read' } : 'done'
        }
        case 'read jobs': {
          const isReported = (job: Job) => hasReported(delivery, step.run, job)
          const run = { ...step.run, mayRerun: canRerun(delivery, step.run) }
          const jobs = await findFailedJobs(repository, run, isReported, {
            ...{ github, budget: details, now: store.clock() },
          })
          // In the meantime, a user may have re-run the workflow run.
          return { jobs: jobs ?? details.freeAt(), confirmed: 'not read' }
        }
        case 'read runs': {
          const confirmed = await confirm(repository, decisiveRuns(runs))
          if (confirmed === 'unread') return { confirmed }
          const refreshed = runs.map(run => refresh(run, confirmed.get(run.id) ?? undefined))
          return { confirmed, found: { ...seen.found, runs: refreshed } }
        }
        case 'read wait':
          return { wait: await readWait(repository, step, { github, budget: details }) }
        case 'rerun': {
          const { run, found } = step
          await deps.freezes.read()
          if (deps.freezes.find(repository)) {
            const lines = [FROZEN, ...found.lines]
            await apply(delivery, { type: 'runFinished', run, runs, found: { ...found, lines } })
            return 'done'
          }
          const request = await apply(delivery, { type: 'rerunRequested', run, lost: found.lost })
          if (request.outcome !== 'applied') return 'done'
          const maySend = () => store.clock() < (request.delivery.rerunAt ?? 0) + SEND_MS
          const refusal = await rerunFailedJobs(repository, run, { github, now: store.clock(), maySend })
          if (refusal === null) return 'done'
          const more = { ...found, lines: [refusal, ...found.lines] }
          const all = runs.map(each => (each.id === run.id ? run : each))
          await apply(request.delivery, { type: 'runFinished', run, runs: all, found: more })
          return 'done'
        }
        case 'read listeners':
          return { listeners: await findListeners(repository, eventType ?? '') }
        case 'cancel runs': {
          const event = await cancelRuns(delivery, step.runs, { github, now: store.clock() })
          if (!event) return { cancelTried: true }
          const { delivery: current } = await apply(delivery, { type: 'runsSeen', runs, pollAt: step.pollAt })
          // The event is recorded even if the delivery has changed, because GitHub has accepted the request.
          await deps.apply(current, event)
          return 'done'
        }
      }
    }
  }

  /** Reads runs by their IDs, unless CONFIRMS_AT_ONCE or the budget would be exceeded. */
  async function confirm(
    repository: string,
    runs: DeliveryRun[],
  ): Promise<'unread' | Map<number, WorkflowRun | null>> {
    if (confirming + runs.length > CONFIRMS_AT_ONCE || !confirms.take(runs.length)) return 'unread'
    confirming += runs.length
    const read = async ({ id }: DeliveryRun) => {
      const run = await github.run(repository, id, null).catch(error => {
        if (findResponse(error)?.status === 404) return { data: null }
        throw error
      })
      return [id, run.data] as const
    }
    try {
      return new Map(await Promise.all(runs.map(read)))
    } catch {
      return 'unread'
    } finally {
      confirming -= runs.length
    }
  }

  function note({ id, queuedAt }: Delivery): Note {
    const before = notes.get(id)
    const empty = { queuedAt, finishedAt: null, portAt: 0, quickAt: 0, approvalsAt: 0 }
    const known = before?.queuedAt === queuedAt ? before : empty
    notes.set(id, known)
    return known
  }
}
