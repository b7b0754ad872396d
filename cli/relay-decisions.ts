import type { Delivery, DeliveryRun } from '../relay/delivery/delivery.ts'
import { decide } from '../relay/delivery/final-status.ts'
import type { SimulatedRun } from '../simulator/runner/types.ts'
import type { RelayDecisions, RelayResult } from '../simulator/simulation.ts'

const POLICY = { serverUrl: 'https://github.com' }
/** A delivery that isn't canceled, and about which nothing was reported. */
const UNCANCELED = {
  cancelRequestedAt: null,
  reported: null,
  runs: [] as DeliveryRun[],
} as unknown as Delivery

/** Returns the relay's result for a finished workflow run whose Port run is still in progress. */
function resultOf({ jobs, conclusion }: SimulatedRun, repository: string): RelayResult {
  const seen = jobs.map(({ databaseId, name, conclusion, steps }) => ({
    id: databaseId,
    name,
    conclusion,
    ...{ runner: null, started: steps.length > 0, startedAt: null, finishedAt: null },
    steps: steps.map(step => ({
      name: step.name,
      number: step.number,
      conclusion: step.conclusion,
      finishedAt: step.completedAt ? Date.parse(step.completedAt) : null,
    })),
  }))
  const end = decide(
    { ...UNCANCELED, repository },
    { run: { conclusion } as DeliveryRun, jobs: seen },
    POLICY,
  )
  return {
    status: end.conclusion === 'success' ? 'SUCCESS' : 'FAILURE',
    label: end.label,
    sentence: end.sentence,
  }
}

/** Explains what GitHub and Port show if no workflow handles an event type. */
function nothingStarts(eventType: string): string {
  const delivery = { ...UNCANCELED, repository: 'your repository', eventType, workflow: null }
  const cause = { why: 'nothing listens' as const }
  const { label, sentence } = decide(delivery, { cause }, POLICY)
  return `On GitHub nothing would start, and after RELAY_START_TIMEOUT the relay would finish the run in Port as FAILURE, "${label}": ${sentence}`
}

/** The relay's decisions about simulated runs. */
export const relayDecisions: RelayDecisions = { resultOf, nothingStarts }
