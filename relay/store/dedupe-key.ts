import { DEFAULT_ORGANISATION } from '../config/organisations.ts'

/** The dedupe key of a delivery that names a run. Run ids are unique within an organisation only. */
export function runKey(organisation: string, runId: string): string {
  return organisation === DEFAULT_ORGANISATION ? `run:${runId}` : `run:${organisation}:${runId}`
}
