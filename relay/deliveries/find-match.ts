import type { Look } from '../github/run-lister.ts'
import type { Delivery } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'
import { type Match, madeSince, matchRuns, othersSince, plainSince } from './match-run.ts'

const MOST_OTHERS = 2_000

/**
 * Which of the runs of its repository may be the delivery's. Only where titles alone do not tell are the other
 * deliveries that went there looked at.
 *
 * @param list as of {@link Look}
 * @param runId the run that the action, or Port, has named
 * @param parts.startTimeout RELAY_START_TIMEOUT, milliseconds
 * @param parts.lag as of {@link shareRuns}
 */
export async function findMatch(
  delivery: Delivery,
  { runs, covers }: Pick<Look, 'runs' | 'covers'>,
  runId: number | null,
  {
    store,
    startTimeout,
    lag,
  }: { store: Pick<Store, 'sentBetween' | 'findBound'>; startTimeout: number; lag: number },
): Promise<Match> {
  const { repository } = delivery
  const partial = covers === Number.NEGATIVE_INFINITY
  const ever = { since: Number.NEGATIVE_INFINITY, sentTo: Number.POSITIVE_INFINITY, partial, lag }
  const alone = { sent: [], ...ever, taken: new Set<number>() }
  const match = matchRuns(delivery, runs, { runId, startTimeout, ...alone })
  if (match.kind !== 'plain' && match.kind !== 'strange') return match

  // Those whose runs are made as early or as late as one that may be this delivery's.
  const times = match.runs.map(run => run.createdAt)
  const reach = plainSince(delivery) - madeSince(delivery)
  const sentTo = Math.max(...times) + reach
  const from = othersSince(delivery)
  const time = { from, to: sentTo, limit: MOST_OTHERS }
  const titles = [...new Set([delivery.eventType, ...match.runs.map(run => run.title)])]
  const [sent, bound] = await Promise.all([
    store.sentBetween(repository, titles, time),
    store.findBound(
      repository,
      runs.filter(run => titles.includes(run.title)).map(run => run.id),
    ),
  ])
  const others = sent.filter(other => other.id !== delivery.id)
  const taken = new Set(bound.filter(owner => owner.id !== delivery.id).map(owner => owner.githubRunId))
  const since = sent.length < MOST_OTHERS ? Math.max(from, covers) : Number.POSITIVE_INFINITY
  return matchRuns(delivery, runs, { runId, startTimeout, sent: others, since, sentTo, partial, lag, taken })
}
