import type { GitHub, WorkflowRun } from '../github/client.ts'
import { readTitle } from '../github/match-run.ts'
import type { Delivery } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'

/** Whether a dispatch whose answer was lost has started a workflow. */
export type Evidence =
  | { found: number | null; by: string }
  /** Nothing seen; `looked` tells whether GitHub's list could be read at all. */
  | { found: undefined; looked: boolean }

/** How far back another dispatch of the same event type may be, and its run still appear. */
const LAG_MS = 10 * 60_000
const MOST_OTHERS = 100

/**
 * Looks for the workflow run of a delivery, in order of trust: what the action reported, Port's
 * `externalRunId`, GitHub's list by title. The title is the run id where the workflow sets `run-name` so,
 * else the event type: that says nothing where another delivery of this event type went to the repository
 * lately, since the run may be its, and a delivery whose run is another's would be lost.
 */
export async function findRun(
  delivery: Delivery,
  parts: {
    github: Pick<GitHub, 'listRuns'>
    store: Pick<Store, 'list'>
    externalRunId: (runId: string) => Promise<string | null>
  },
): Promise<Evidence> {
  if (delivery.githubRunId !== null) return { found: delivery.githubRunId, by: 'the action reported it' }
  const external = delivery.runId === null ? null : await parts.externalRunId(delivery.runId)
  if (external) return { found: /^\d+$/.test(external) ? Number(external) : null, by: 'Port names it' }
  let runs: WorkflowRun[]
  try {
    // GitHub counts in seconds, and its clock is not ours.
    runs = await parts.github.listRuns(delivery.repository, (delivery.sentAt ?? delivery.receivedAt) - 5000)
  } catch {
    return { found: undefined, looked: false }
  }
  const titled = (how: 'named' | 'plain') => runs.find(each => readTitle(each.title, delivery) === how)
  const run = titled('named') ?? ((await isAlone(delivery, parts.store)) ? titled('plain') : undefined)
  return run ? { found: run.id, by: 'GitHub lists it' } : { found: undefined, looked: true }
}

async function isAlone(delivery: Delivery, store: Pick<Store, 'list'>): Promise<boolean> {
  const { id, repository, eventType } = delivery
  const since = (delivery.sentAt ?? delivery.receivedAt) - LAG_MS
  const others = await store.list({ repository, limit: MOST_OTHERS })
  return !others.some(
    other => other.id !== id && other.eventType === eventType && (other.dispatchedAt ?? 0) > since,
  )
}
