import type { JobStatus } from './inputs.ts'

/** The final status: this job's, and that of the jobs it `needs`. The worst counts; a skipped job is none. */
export function conclude(jobStatus: JobStatus, needs: Record<string, string>): JobStatus {
  const all = [jobStatus, ...Object.values(needs)]
  if (all.includes('failure')) return 'failure'
  return all.includes('cancelled') ? 'cancelled' : 'success'
}
