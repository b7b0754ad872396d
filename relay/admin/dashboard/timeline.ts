import { duration } from '../../../port/text.ts'
import { type HistoryEntry, type Listed, OPEN_STATES } from '../../delivery/delivery.ts'
import { HISTORY, type TimelineText, timelineText } from '../../delivery/history.ts'

/** A point on a delivery's timeline. `at`: milliseconds since 1970, null for future points. */
export type Step = TimelineText & { at: number | null }

const SOURCES: Record<string, string> = {
  body: "The webhook's body sets the repository.",
  url: "The webhook's URL sets the repository.",
  route: 'The first matching route (RELAY_ROUTES) sets the repository.',
  default: 'RELAY_REPOSITORY applies, because nothing else sets a repository.',
}

export function timeline(
  delivery: Listed,
  history: readonly (HistoryEntry & { at: number })[],
  targetFrom: string | null,
): Step[] {
  const { repository, eventType, workflow, ref } = delivery
  const target =
    workflow === null
      ? `${repository}, event type ${eventType}`
      : `${repository}, workflow ${workflow}${ref === null ? '' : ` on ${ref}`}`
  const why = SOURCES[targetFrom ?? '']
  return [
    { at: delivery.receivedAt, ...timelineText('Received from Port', 'good') },
    { at: delivery.receivedAt, ...timelineText(`Target: ${target}`, 'good', why) },
    ...history.map(({ at, type, details }) => ({ at, ...HISTORY[type](details) })),
    ...toCome(delivery).map(each => ({ at: null, ...each })),
  ]
}

function toCome({ state, attempts }: Listed): TimelineText[] {
  if (!OPEN_STATES.includes(state)) return []
  return [
    ...(state === 'queued' ? [attempts === 0 ? 'Dispatch to GitHub' : 'Next attempt'] : []),
    ...(state !== 'running' ? ['Bound to its workflow run'] : []),
    'End of the workflow run',
  ].map(title => timelineText(title, 'plain'))
}

export function durations({ queuedAt, dispatchedAt, updatedAt, state }: Listed): string {
  return [
    ...(dispatchedAt === null ? [] : [`dispatched after ${duration(dispatchedAt - queuedAt)}`]),
    ...(OPEN_STATES.includes(state) ? [] : [`finished after ${duration(updatedAt - queuedAt)}`]),
  ].join(', ')
}
