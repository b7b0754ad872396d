import type { GitHubForPlayer, PlayedJob, PlayedRun } from './types.ts'

const seconds = (time: string | null) => time && `${time.slice(0, 19)}Z`

/** Shows a run and its jobs on GitHub's stand-in as they stand now: jobs that have started, steps as far as they are. */
export function publishRun(
  github: GitHubForPlayer,
  run: Pick<PlayedRun, 'runId' | 'attempt' | 'jobs'> & { conclusion: string | null; runnerName: string },
): void {
  github.setRun(run.runId, {
    status: run.conclusion === null ? 'in_progress' : 'completed',
    conclusion: run.conclusion,
    runAttempt: run.attempt,
  })
  github.setJobs(
    run.runId,
    run.attempt,
    run.jobs.map(job => ({
      id: job.databaseId,
      name: job.name,
      status: job.status,
      conclusion: job.conclusion,
      started_at: seconds(job.startedAt ?? new Date().toISOString())!,
      completed_at: seconds(job.completedAt),
      runner_name: job.startedAt === null ? null : run.runnerName,
      steps: job.steps.map(step => ({
        name: step.name,
        number: step.number,
        status: step.status,
        conclusion: step.conclusion,
        started_at: seconds(step.startedAt),
        completed_at: seconds(step.completedAt),
      })),
    })),
  )
  for (const job of run.jobs) if (job.status === 'completed') github.setJobLog(job.databaseId, jobLog(job))
}

/** A job's whole log, each line with the time of its step, as GitHub lets it be downloaded. */
function jobLog(job: PlayedJob): string {
  return job.steps
    .flatMap(step =>
      step.log
        .split('\n')
        .filter(line => line !== '')
        .map(line => `${step.startedAt} ${line}\n`),
    )
    .join('')
}
