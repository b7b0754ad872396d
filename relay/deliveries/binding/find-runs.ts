import type { GitHub } from '../github/client.ts'
import { readFailure } from '../github/read-failure.ts'
import type { Delivery } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'
import { NO_PORT_RUN, type PortAsker } from './ask-port.ts'
import { findMatch } from './find-match.ts'
import { LAG_MS, type Match, madeSince, othersMadeSince, readTitle } from './match-run.ts'
import { toGithubRunId } from './to-github-run-id.ts'
import { isRedelivered } from './watch-decide.ts'

/** Whether a dispatch whose answer was lost has started a workflow. */
export type Evidence =
  /** `reports`: the run that reports for the delivery; null where it is known that there is one, not which. */
  | { found: true; by: string; reports: { githubRunId: number | null } | null }
  /** Nothing seen; `looked`: and it would have been. `doubt`: why not, where looking again will show no more. */
  | { found: false; looked: boolean; doubt?: Doubt }

interface Doubt {
  reason: string
  /** Whether the action or Port would have told of a run by the time that one may take to start. */
  told: boolean
}

/**
 * Looks for the workflow run of a delivery, in order of trust: what the action reported, Port's
 * `externalRunId`, GitHub's list by title. The title is the run id where the workflow sets `run-name` so,
 * else the event type: that says something only where a run is left once every other delivery of this event type
 * that went to the repository lately has one, since a delivery whose run is another's would be lost. A run of that
 * time with any other title may be the delivery's or not. Nor does a run say anything that is bound to another
 * delivery, or was one of this before it was redelivered.
 */
export async function findRun(
  delivery: Delivery,
  parts: {
    github: Pick<GitHub, 'listRuns'>
    store: Pick<Store, 'findBound' | 'sentBetween'>
    asker: PortAsker
    clock: () => number
    startTimeout: number
    publicUrl: string | null
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
    const { whole, match } = await look()
    if (match.kind === 'own' || match.kind === 'plain') {
      return { found: true, by: 'GitHub lists it', reports: null }
    }
    // Which of several deliveries such a run is of, Port might have told.
    if (match.kind === 'strange' && port === 'unread') return { found: false, looked: false }
    if (isUnnamed(match)) return inDoubt(`a run began in ${repository} whose title names no delivery`)
    if (match.kind === 'strange' && !match.shared)
      return inDoubt(`whose the runs titled "${delivery.eventType}" in ${repository} are cannot be told`)
    return { found: false, looked: whole }
  } catch (error) {
    const { kind, reason } = readFailure(error, { repository, now: parts.clock(), tries: 0 })
    return kind === 'forbidden' ? inDoubt(reason) : { found: false, looked: false }
  }

  async function look(): Promise<{ whole: boolean; match: Match }> {
    const first = await lookSince(madeSince(delivery))
    const { kind } = first.match
    const isNamed = kind === 'own' || kind === 'none' || isUnnamed(first.match)
    // Whose a run is that is titled with the event type, is told by those of all dispatches that it may be of.
    if (isNamed) return first
    const { match } = await lookSince(othersMadeSince(delivery))
    return { ...first, match }
  }

  async function lookSince(since: number): Promise<{ whole: boolean; match: Match }> {
    const { runs, whole } = await parts.github.listRuns(repository, since)
    const bound = await isBound(
      runs.filter(run => readTitle(run.title, delivery) === 'named').map(run => run.id),
    )
    const list = { runs: runs.filter(run => !bound.has(run.id)), covers: whole ? since : Infinity }
    return { whole, match: await findMatch(delivery, list, null, { ...parts, lag: LAG_MS }) }
  }

  async function isBound(runIds: number[]): Promise<Set<number>> {
    const owners = await parts.store.findBound(repository, runIds)
    return new Set(owners.filter(owner => owner.id !== delivery.id).map(owner => owner.githubRunId))
  }

  /** Neither Port's silence nor a run of a workflow that Port cannot be asked about says anything. */
  function inDoubt(reason: string): Evidence {
    if (port === 'unread') return { found: false, looked: false }
    // A synchronous one is ended by the relay's own answer to the webhook.
    if (port.ended && !port.synchronized && !isRedelivered(delivery)) {
      return { found: true, by: 'its run in Port has ended', reports: null }
    }
    const isRead = port !== NO_PORT_RUN && port.status !== 'unknown'
    return { found: false, looked: false, doubt: { reason, told: isRead || parts.publicUrl !== null } }
  }

  function isUnnamed(match: Match): boolean {
    return match.kind === 'strange' && match.runs.every(run => run.title !== delivery.eventType)
  }
}
