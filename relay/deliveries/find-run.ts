import type { GitHub } from '../github/client.ts'
import { readTrouble } from '../github/errors.ts'
import { isOpen, LEEWAY_MS, madeSince, plainSince, readTitle } from '../github/match-run.ts'
import { shareRuns } from '../github/share-runs.ts'
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
 * else the event type: that says something only where a run is left once every other delivery of this event type
 * that went to the repository lately has one, since a delivery whose run is another's would be lost. Nor does a run
 * say anything that is bound to another delivery, or was one of this before it was redelivered.
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
  try {
    const list = await parts.github.listRuns(repository, madeSince(delivery))
    const titled = list.runs.filter(run => !pastRuns.includes(run.id) && isOf(run))
    const bound = await isBound(titled.map(run => run.id))
    const free = titled.filter(run => !bound.has(run.id))
    const tells = free.some(run => readTitle(run.title, delivery) === 'named')
    if (tells || (free.length > 0 && (await hasShare()))) {
      return { found: true, by: 'GitHub lists it', reports: null }
    }
    // Which of several deliveries such a run is of, Port might have told.
    return { found: false, looked: list.whole && !(port === 'unread' && free.length > 0) }
  } catch (error) {
    const { kind, reason } = readTrouble(error, { repository, now: parts.clock(), tries: 0 })
    const refused = kind === 'forbidden' && port !== 'unread' ? { refused: reason } : {}
    return { found: false, looked: false, ...refused }
  }

  function isOf({ title, createdAt }: WorkflowRun): boolean {
    const how = readTitle(title, delivery)
    return how === 'named' || (how === 'plain' && createdAt >= plainSince(delivery))
  }

  async function isBound(runIds: number[]): Promise<Set<number>> {
    const owners = await parts.store.findBound(repository, runIds)
    return new Set(owners.filter(owner => owner.id !== delivery.id).map(owner => owner.githubRunId))
  }

  /** Whether a plain run is left for the delivery when those sent before it, whose may still appear, have theirs. */
  async function hasShare(): Promise<boolean> {
    const { id, seq, eventType, sentAt } = delivery as Delivery & { sentAt: number }
    const from = sentAt - LAG_MS
    const time = { from, to: parts.clock(), limit: MOST_OTHERS }
    const sent = await parts.store.sentBetween(repository, [eventType], time)
    const past = new Set([...pastRuns, ...sent.flatMap(other => other.pastRuns)])
    const { runs } = await parts.github.listRuns(repository, from - LEEWAY_MS)
    const plain = runs.filter(run => run.title === eventType && !past.has(run.id))
    const bound = await isBound(plain.map(run => run.id))
    const free = plain.filter(run => !bound.has(run.id))
    return shareRuns({ id, seq, sentAt }, free, sent.filter(isOpen), LEEWAY_MS).own.length > 0
  }
}
