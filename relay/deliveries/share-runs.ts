import type { WorkflowRun } from '../github/workflow-run.ts'
import type { Sent } from '../store/delivery.ts'

/** What the plain runs of a repository give a delivery. */
export interface Share {
  /** Those that may be its, its own first; empty where none is. */
  runs: WorkflowRun[]
  /** By order, this one of each workflow. */
  own: WorkflowRun[]
  /** One of its runs may still be to come, or is with another delivery. */
  missing: boolean
}

type Sending = Pick<Sent, 'id' | 'seq' | 'sentAt'>

/** So long after its dispatch a run still comes; after as long without a dispatch, the next run is of the next one. */
const QUIET_MS = 15_000

/**
 * Shares runs whose titles say nothing out among the deliveries that may be behind them. Each dispatch makes one
 * run of each workflow that listens, and a repository's dispatches go out one after the other: so the oldest run
 * belongs to the oldest delivery. They are counted from a time at which nothing was sent for a while, since the first
 * run of a stream cut anywhere else is of a delivery that is left out; where there was no such time, nothing is
 * shared. Runs made within `leeway` of each other may have changed places on GitHub. Pure.
 *
 * @param runs without those that are known to be of a certain delivery
 * @param others deliveries of the same event type that were sent around the same time, without a known run
 * @param times.since from when on all runs and all others are there, milliseconds since 1970
 * @param times.partial that runs may be missing among them, as where only webhooks tell, to this relay or another
 * @param times.lag how long before the delivery others were sent that may still have none, milliseconds
 * @param times.leeway how far GitHub's clock may be from this relay's, milliseconds
 * @returns null where order tells nothing, since no quiet time is known
 */
export function shareRuns(
  delivery: Sending,
  runs: readonly WorkflowRun[],
  others: readonly Sending[],
  { since, partial, lag, leeway }: { since: number; partial: boolean; lag: number; leeway: number },
): Share | null {
  const sent = [...others.filter(other => other.id !== delivery.id), delivery].sort(
    (a, b) => a.sentAt - b.sentAt || a.seq - b.seq,
  )
  const begin = beginOf(sent, delivery, { since, lag })
  if (begin === null) return null
  const all = sent.filter(each => each.sentAt >= begin)
  const share: Share = { runs: [], own: [], missing: false }
  for (const workflow of new Set(runs.map(run => run.workflowId))) {
    const made = runs
      .filter(run => run.workflowId === workflow && run.createdAt >= begin - leeway)
      .sort(byAge)
    if (!made.some(run => run.createdAt >= delivery.sentAt - leeway)) continue
    const { run, open } = assign(delivery, all, made, leeway)
    // Long after its dispatch, while others have none yet: it may be of a later one, and this one have none at all.
    const doubtful = run !== null && open && (partial || run.createdAt > delivery.sentAt + leeway)
    if (run === null || doubtful) {
      share.missing = true
      continue
    }
    const near = made.filter(
      each =>
        each.id !== run.id &&
        each.createdAt >= delivery.sentAt - leeway &&
        Math.abs(each.createdAt - run.createdAt) <= leeway,
    )
    share.own.push(run)
    share.runs.push(run, ...near)
  }
  return share
}

/** When the first was sent that counts: after a quiet time, and as long before the delivery as need be; else null. */
function beginOf(
  sent: readonly Sending[],
  { id, sentAt }: Sending,
  { since, lag }: { since: number; lag: number },
): number | null {
  const begins = sent
    .slice(0, sent.findIndex(each => each.id === id) + 1)
    .map((each, i) => ({ at: each.sentAt, before: Math.max(since, sent[i - 1]?.sentAt ?? since) }))
    .filter(({ at, before }) => at - before > QUIET_MS)
    .map(({ at }) => at)
  return begins.find(at => at >= sentAt - lag) ?? begins.at(-1) ?? null
}

/** First sent, first served; `open`: when the last run was made, somebody still waited for one. */
function assign(
  delivery: Sending,
  all: readonly Sending[],
  runs: readonly WorkflowRun[],
  leeway: number,
): { run: WorkflowRun | null; open: boolean } {
  const waiting: Sending[] = []
  let next = 0
  let own: WorkflowRun | null = null
  for (const run of runs) {
    for (let each = all[next]; each && each.sentAt - leeway <= run.createdAt; each = all[++next])
      waiting.push(each)
    if (waiting.shift()?.id === delivery.id) own = run
  }
  return { run: own, open: waiting.length > 0 }
}

/** GitHub counts in seconds; its ids grow. */
const byAge = (a: WorkflowRun, b: WorkflowRun) => a.createdAt - b.createdAt || a.id - b.id
