import type { LogLine, RunUpdate } from '../port/types.ts'
import { linksOf } from './reporter/reporter.ts'
import type { Inputs, JobStatus } from './runner/inputs.ts'
import type { Workflow } from './runner/runner.ts'
import type { State } from './runner/state.ts'
import type { Step } from './steps-of-job.ts'

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

const MARK: Record<string, string> = { success: '✓', failure: '✗', cancelled: '✗' }
const LEVEL: Record<string, LogLine['level']> = { failure: 'ERROR', cancelled: 'WARN' }

/** One log line for a step: `✓ Build image (12 s)`. */
export function stepLine(step: Step): LogLine {
  const { name, durationMs } = step
  const conclusion = step.conclusion ?? 'still running'
  const time = durationMs === null || conclusion === 'skipped' ? '' : ` (${duration(durationMs)})`
  const word = conclusion === 'success' ? '' : `: ${conclusion}`
  return { level: LEVEL[conclusion] ?? 'INFO', message: `${MARK[conclusion] ?? '–'} ${name}${word}${time}` }
}

/** `✓ success`, `✗ failure`, `– skipped` */
export function stepResult({ conclusion }: Step): string {
  const word = conclusion ?? 'still running'
  return `${MARK[word] ?? '–'} ${word}`
}

/** The jobs before this one that make the run fail, or did not run: `✗ Job build: failure`, `– Job deploy: skipped`. */
export function needLines(needs: Record<string, string>): LogLine[] {
  return Object.entries(needs)
    .filter(([, result]) => result !== 'success')
    .map(([job, result]) => ({
      level: LEVEL[result] ?? 'INFO',
      message: `${MARK[result] ?? '–'} Job ${job}: ${result}`,
    }))
}

/** The last line of the log: `✓ Job deploy: success after 42 s`. */
export function jobLine(job: { name: string; status: JobStatus; durationMs: number }): LogLine {
  return {
    level: LEVEL[job.status] ?? 'INFO',
    message: `${MARK[job.status]} Job ${job.name}: ${job.status} after ${duration(job.durationMs)}`,
  }
}

/** `42 s`, `1 min 3 s`, `2 h 5 min` */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60
    ? `${minutes} min ${seconds % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
