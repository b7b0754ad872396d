import { DEFAULT_ORGANISATION } from '../config/organisations.ts'

/** The dedupe key of a delivery that names a run. Run ids are one organisation's own: another's must not take its place. */
export function runKey(organisation: string, runId: string): string {
  return organisation === DEFAULT_ORGANISATION ? `run:${runId}` : `run:${organisation}:${runId}`
}
