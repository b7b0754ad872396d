import type { RunUpdate } from '../../port/types.ts'
import type { Delivery, Rejected, Transition } from './delivery.ts'
import type { Event } from './events.ts'
import type { Ending } from './outcome.ts'

// With `fail-on-report-error`, an entity that Port rejects makes a success of its attempt a failure, although the job on
// GitHub is green. The relay sends entities after the job has gone on.

/** Records the first rejected entity of an attempt. The outcome of a finished delivery stays. */
export function rejectEntity(
  { state, outcome, rejected }: Delivery,
  { attempt, entity, blueprint }: Event<'entityRejected'>,
): Transition | null {
  const isOver = state === 'finished' && outcome !== 'succeeded'
  if (isOver || (rejected && rejected.attempt >= attempt)) return null
  const history = { type: 'entityRejected' as const, details: { attempt, blueprint } }
  return { change: { rejected: { attempt, entity } }, messages: [], history }
}

const sentence = ({ entity }: Rejected) =>
  `Port rejected the entity ${entity}, and the action has fail-on-report-error: true. Port's log shows the reason.`

/** Returns the reason why an attempt's success is a failure; null if it stays a success, or if another system reports it. */
export const whyRejected = (
  { rejected, reportWorkflowStatus }: Pick<Delivery, 'rejected' | 'reportWorkflowStatus'>,
  attempt: number | undefined,
): string | null => (rejected?.attempt === attempt && reportWorkflowStatus ? sentence(rejected!) : null)

export function withRejected(delivery: Delivery, attempt: number | undefined, ending: Ending): Ending {
  const why = ending.conclusion === 'success' ? whyRejected(delivery, attempt) : null
  return why === null
    ? ending
    : { state: 'finished', outcome: 'failed', conclusion: 'failure', label: 'Entity rejected', sentence: why }
}

/** Makes a stored success a failure, if Port has rejected a required entity since the success was stored. */
export function failIfRejected(update: RunUpdate, rejected: Rejected | null): RunUpdate {
  if (update.conclusion !== 'success' || rejected === null) return update
  return {
    ...update,
    conclusion: 'failure',
    statusLabel: `Entity rejected: ${rejected.entity}`,
    summary: [sentence(rejected), update.summary].filter(Boolean).join('\n\n'),
  }
}
