import type { RunUpdate } from '../../port/types.ts'
import { linksOf } from '../report/links.ts'
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
  end: { conclusion: JobStatus; summary: string; ownSummary: string; links: string[] },
): RunUpdate {
  // A node run's link is replaced with each call.
  const known = state.linked && state.kind !== 'node_run' && end.links.length === 0
  const link = known
    ? {}
    : { link: linksOf(workflow.url, end.links, state.kind), externalRunId: workflow.runId }
  if (inputs.report !== 'job') {
    const linkMissing = !state.linked || end.links.length > 0
    return { ...(linkMissing && link), ...(end.ownSummary && { summary: end.ownSummary, ...link }) }
  }
  return { conclusion: end.conclusion, statusLabel: LABEL[end.conclusion], summary: end.summary, ...link }
}

/**
 * The jobs that count beside this one: those of `needs`. Where all of them were skipped, a job before them, which `needs` does
 * not name, may have failed: then those of the run that failed or were cancelled count, too. Beside a job that ran, they do
 * not: the jobs are listed by display names, which do not show whether `needs` has counted a job already.
 *
 * @param others the conclusions of jobs by their display names
 */
export function countedJobs(
  needs: Record<string, string>,
  others: Record<string, string>,
): Record<string, string> {
  const results = Object.values(needs)
  if (results.length === 0 || results.some(result => result !== 'skipped')) return needs
  const failed = Object.entries(others).filter(([, result]) => result === 'failure' || result === 'cancelled')
  return { ...Object.fromEntries(failed), ...needs }
}

/**
 * The final status: this job's, that of the jobs it `needs`, and what a step has written to `$PORT_RUN`. The worst counts; a
 * skipped job is none.
 */
export function conclude(
  jobStatus: JobStatus,
  needs: Record<string, string>,
  written: JobStatus | null,
): JobStatus {
  const all = [jobStatus, ...Object.values(needs), written]
  if (all.includes('failure')) return 'failure'
  return all.includes('cancelled') ? 'cancelled' : 'success'
}
