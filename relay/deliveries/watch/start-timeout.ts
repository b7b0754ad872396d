import type { Policy } from '../transition/events.ts'
import type { Observation, Verdict } from './observation.ts'

/** How long GitHub must have refused before its refusal counts as final. */
const REFUSED_MS = 60_000

/**
 * What to do with a delivery of which no run is known when the start timeout is over: no workflow listens, its run
 * cannot be identified, or the relay cannot look. Pure.
 *
 * @param startBy when the start timeout is over, milliseconds since 1970
 * @returns null where another look has to decide
 */
export function decideStartTimeout(
  { found, port }: Observation,
  startBy: number,
  { startTimeout }: Policy,
): Verdict | null {
  const { snapshot, candidates, whole } = found
  if (snapshot.access === 'unavailable') return null
  if (snapshot.access === 'forbidden') {
    // A node run cannot be read from Port either: a run that may exist unseen must not be ended.
    const isUnseen = typeof port === 'object' && port.status === 'unknown'
    if (isUnseen || snapshot.refusedFor < REFUSED_MS) return null
    const reason = snapshot.reason ?? 'GitHub does not show it'
    return { kind: 'startTimedOut', cause: { why: 'not seen', reason, startTimeout } }
  }
  if ((snapshot.readAt ?? 0) < startBy) return null
  if (candidates.length > 0) {
    if (!candidates.every(run => run.status === 'completed')) return null
    return { kind: 'runUnidentified', cause: { why: 'unidentified', amount: candidates.length } }
  }
  if (!whole) return null
  return { kind: 'startTimedOut', cause: { why: 'nothing listens', disabled: [], workflows: null } }
}
