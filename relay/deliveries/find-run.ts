import type { GitHub } from '../github/client.ts'
import { readTrouble } from '../github/errors.ts'
import { madeSince, plainSince, readTitle } from '../github/match-run.ts'
import type { WorkflowRun } from '../github/workflow-run.ts'
import type { Delivery } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'
import type { PortAsker } from './ask-port.ts'
import { toGithubRunId } from './to-github-run-id.ts'
import { isRedelivered } from './watch-decide.ts'

/** Whether a dispatch whose answer was lost has started a workflow. */
export type Evidence =
  /** `reports`: the run that reports for the delivery; null where titles tell that there is one, not which. */
  | { found: true; by: string; reports: { githubRunId: number | null } | null }
  /**
   * Nothing seen; `looked`: and it would have been. `refused`: why the relay may not read GitHub's list, while Port
   * did answer.
   */
  | { found: false; looked: boolean; refused?: string }

/** How far back another dispatch of the same event type may be, and its run still appear. */
const LAG_MS = 10 * 60_000
const MOST_OTHERS = 2_000

/**
 * Looks for the workflow run of a delivery, in order of trust: what the action reported, Port's
 * `externalRunId`, GitHub's list by title. The title is the run id where the workflow sets `run-name` so,
 * else the event type: that says nothing where another delivery of this event type went to the repository
 * lately, since the run may be its, and a delivery whose run is another's would be lost. Nor does a run that is
 * bound to another delivery, or was one of this before it was redelivered.
 */
export async function findRun(
  delivery: Delivery,
  parts: {
    github: Pick<GitHub, 'listRuns'>
    store: Pick<Store, 'findBound' | 'sentBetween'>
    asker: PortAsker
    clock: () => number
  },
): Promise<Evidence> {
  const { githubRunId, repository, pastRuns } = delivery
  if (githubRunId !== null) return { found: true, by: 'the action reported it', reports: { githubRunId } }
  const port = await parts.asker.ask(delivery)
  const external = port === 'unread' ? null : port.externalRunId
  const named = toGithubRunId(external)
  // An id of another kind cannot be told from one of before the redelivery.
  const isOver =
    named === null ? isRedelivered(delivery) : pastRuns.includes(named) || (await isBound([named])).has(named)
  if (external && !isOver) return { found: true, by: 'Port names it', reports: { githubRunId: named } }
  let list: { runs: WorkflowRun[]; whole: boolean }
  try {
    list = await parts.github.listRuns(repository, madeSince(delivery))
  } catch (error) {
    const { kind, reason } = readTrouble(error, { repository, now: parts.clock(), tries: 0 })
    return {
      found: false,
      looked: false,
      ...(kind === 'forbidden' && port !== 'unread' && { refused: reason }),
    }
  }
  const titled = list.runs.filter(run => !pastRuns.includes(run.id) && isOf(run))
  const bound = await isBound(titled.map(run => run.id))
  const free = titled.filter(run => !bound.has(run.id))
  const tells = free.some(run => readTitle(run.title, delivery) === 'named')
  if (tells || (free.length > 0 && (await isAlone()))) {
    return { found: true, by: 'GitHub lists it', reports: null }
  }
  // Which of several deliveries such a run is of, Port might have told.
  return { found: false, looked: list.whole && !(port === 'unread' && free.length > 0) }

  function isOf({ title, createdAt }: WorkflowRun): boolean {
    const how = readTitle(title, delivery)
    return how === 'named' || (how === 'plain' && createdAt >= plainSince(delivery))
  }

  async function isBound(runIds: number[]): Promise<Set<number>> {
    const owners = await parts.store.findBound(repository, runIds)
    return new Set(owners.filter(owner => owner.id !== delivery.id).map(owner => owner.githubRunId))
  }

  async function isAlone(): Promise<boolean> {
    const from = (delivery.sentAt ?? delivery.receivedAt) - LAG_MS
    const time = { from, to: parts.clock(), limit: MOST_OTHERS }
    const sent = await parts.store.sentBetween(repository, [delivery.eventType], time)
    return !sent.some(other => other.id !== delivery.id && other.githubRunId === null)
  }
}
