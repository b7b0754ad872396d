import type { RunUpdate } from '../../port/types.ts'
import type { Delivery, Rejected, Transition } from './delivery.ts'
import type { Event } from './events.ts'
import type { Ending } from './outcome.ts'

// With `fail-on-report-error`, a rejected entity turns the success of the attempt that wrote it into a failure. The job
// on GitHub stays green, because the relay sends entities while the job continues.

/** Records the first rejected entity of an attempt. Doesn't change the outcome of a finished delivery. */
export function rejectEntity(
  { state, outcome, rejected }: Delivery,
  { attempt, entity, blueprint }: Event<'entityRejected'>,
): Transition | null {
  const isOver = state === 'finished' && outcome !== 'succeeded'
  if (isOver || (rejected && rejected.attempt >= attempt)) return null
  const history = { type: 'entityRejected' as const, details: { attempt, blueprint } }
  return { change: { rejected: { attempt, entity } }, messages: [], history }
}

const labelOf = ({ entity }: Rejected) => `Entity rejected: ${entity}`
const sentence = ({ entity }: Rejected) =>
  `Port rejected the entity ${entity}, and the action has fail-on-report-error: true. Port's log shows the reason.`

/** Returns why an attempt's success counts as a failure; null if it stays a success, or if another system reports the result. */
export const whyRejected = (
  { rejected, reportWorkflowStatus }: Pick<Delivery, 'rejected' | 'reportWorkflowStatus'>,
  attempt: number | undefined,
): string | null => (rejected?.attempt === attempt && reportWorkflowStatus ? sentence(rejected!) : null)

export function withRejected(delivery: Delivery, attempt: number | undefined, ending: Ending): Ending {
  const why = ending.conclusion === 'success' ? whyRejected(delivery, attempt) : null
  return why === null
    ? ending
    : {
        ...{ state: 'finished', outcome: 'failed', conclusion: 'failure' },
        label: labelOf(delivery.rejected!),
        sentence: why,
      }
}

/** Turns a stored success into a failure if Port has rejected a required entity in the meantime. */
export function failIfRejected(update: RunUpdate, rejected: Rejected | null): RunUpdate {
  if (update.conclusion !== 'success' || rejected === null) return update
  return {
    ...update,
    conclusion: 'failure',
    statusLabel: labelOf(rejected),
    summary: [sentence(rejected), update.summary].filter(Boolean).join('\n\n'),
  }
}
