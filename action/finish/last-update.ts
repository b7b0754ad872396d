import type { RunUpdate } from '../../port/types.ts'
import type { Inputs, JobStatus } from '../runner/inputs.ts'
import type { Workflow } from '../runner/runner.ts'
import type { State } from '../runner/state.ts'

/** What Port shows beside the final status, in place of the label of the running job. */
const LABEL: Record<JobStatus, string> = { success: 'Succeeded', failure: 'Failed', cancelled: 'Cancelled' }

/**
 * The last update of the run in Port. Only `report: job` ends the Port run; the others leave that to the relay or to another
 * job, and send a summary only where its author gave one.
 */
export function lastUpdate(
  { state, inputs, workflow }: { state: State; inputs: Inputs; workflow: Workflow },
  end: { conclusion: JobStatus; summary: string; ownSummary: string },
): RunUpdate {
  // A node run's link is replaced with each call.
  const link =
    state.linked && state.kind !== 'node_run' ? {} : { link: [workflow.url], externalRunId: workflow.runId }
  if (inputs.report !== 'job') {
    return { ...(!state.linked && link), ...(end.ownSummary && { summary: end.ownSummary, ...link }) }
  }
  return { conclusion: end.conclusion, statusLabel: LABEL[end.conclusion], summary: end.summary, ...link }
}

/** The final status: this job's, and that of the jobs it `needs`. The worst counts; a skipped job is none. */
export function conclude(jobStatus: JobStatus, needs: Record<string, string>): JobStatus {
  const all = [jobStatus, ...Object.values(needs)]
  if (all.includes('failure')) return 'failure'
  return all.includes('cancelled') ? 'cancelled' : 'success'
}
