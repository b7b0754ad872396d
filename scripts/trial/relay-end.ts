import { endOfRun, endWithoutRun } from '../../relay/deliveries/transition/ending-texts.ts'
import type { Delivery } from '../../relay/store/delivery.ts'
import type { PlayedRun } from '../../test/support/player/types.ts'

/** How the relay ends a run in Port that the action did not end. */
export interface RelayEnd {
  status: 'SUCCESS' | 'FAILURE'
  label: string
  sentence: string
}

/** What the relay makes of a workflow run that has ended while its run in Port is still in progress. */
export function relayEnd({ jobs, conclusion }: PlayedRun, repository: string): RelayEnd {
  const seen = jobs.map(({ databaseId, name, conclusion, steps }) => ({
    id: databaseId,
    name,
    conclusion,
    started: steps.length > 0,
    steps: steps.map(step => ({
      name: step.name,
      number: step.number,
      conclusion: step.conclusion,
      endedAt: step.completedAt ? Date.parse(step.completedAt) : null,
    })),
  }))
  const end = endOfRun({ conclusion }, seen, repository)
  return {
    status: end.conclusion === 'success' ? 'SUCCESS' : 'FAILURE',
    label: end.label,
    sentence: end.sentence,
  }
}

/** What happens on GitHub and in Port where no workflow listens to a type, in two sentences. */
export function nothingStarts(eventType: string): string {
  const delivery = { repository: 'your repository', eventType, workflow: null } as Delivery
  const { label, sentence } = endWithoutRun(
    { why: 'nothing listens', disabled: [], workflows: null },
    delivery,
  )
  return `On GitHub nothing would start, and after RELAY_START_TIMEOUT the relay would end the run in Port as FAILURE, "${label}": ${sentence}`
}
