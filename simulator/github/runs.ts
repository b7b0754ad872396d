import { randomBytes } from 'node:crypto'
import type { GitHubState } from './state.ts'
import type { Dispatch, GitHubJob, GitHubRun, NewGitHubJob, NewGitHubRun, Repository } from './types.ts'

export function createRun(state: GitHubState, given: NewGitHubRun): GitHubRun {
  const repository = state.repositories.get(given.repository.toLowerCase())
  if (!repository) throw new Error(`The fake GitHub has no repository ${given.repository}`)
  const workflow = repository.workflows.find(one => one.path === given.path) ?? repository.workflows[0]
  const now = given.createdAt ?? seconds(state.now())
  const runNumber = (state.runNumbers.get(repository.id) ?? 0) + 1
  state.runNumbers.set(repository.id, runNumber)
  const run: GitHubRun = {
    id: state.nextId(),
    runNumber,
    runAttempt: 1,
    event: 'repository_dispatch',
    displayTitle: 'port_action',
    name: workflow?.name ?? 'Deploy',
    path: workflow?.path ?? '.github/workflows/deploy.yml',
    workflowId: workflow?.id ?? repository.id * 10,
    status: 'queued',
    conclusion: null,
    headBranch: repository.defaultBranch,
    headSha: randomBytes(20).toString('hex'),
    actor: 'octocat',
    updatedAt: now,
    runStartedAt: now,
    ...given,
    createdAt: now,
    repository: repository.fullName,
  }
  state.runs.push(run)
  state.runsById.set(run.id, run)
  return run
}

export function findRun(state: GitHubState, id: number): GitHubRun {
  const run = state.runsById.get(id)
  if (!run) throw new Error(`The fake GitHub has no run ${id}`)
  return run
}

export function endRun(state: GitHubState, run: GitHubRun, conclusion: string): void {
  Object.assign(run, { status: 'completed', conclusion, updatedAt: seconds(state.now()) })
}

export function setJobs(
  state: GitHubState,
  runId: number,
  attempt: number,
  jobs: NewGitHubJob[],
): GitHubJob[] {
  const run = findRun(state, runId)
  run.runAttempt = Math.max(run.runAttempt, attempt)
  const complete = jobs.map(
    (job): GitHubJob => ({
      id: state.nextId(),
      status: 'in_progress',
      conclusion: null,
      started_at: seconds(),
      completed_at: null,
      runner_name: 'GitHub Actions 12',
      labels: ['ubuntu-latest'],
      ...job,
      steps: (job.steps ?? []).map((step, index) => ({
        number: index + 1,
        status: 'queued',
        conclusion: null,
        started_at: null,
        completed_at: null,
        ...step,
      })),
    }),
  )
  state.jobs.set(`${runId}/${attempt}`, complete)
  return complete
}

/** Creates a queued run of each active workflow that listens for the event type. */
export function startListening(state: GitHubState, repository: Repository, dispatch: Dispatch): void {
  for (const workflow of repository.workflows) {
    if (!workflow.eventTypes.includes(dispatch.eventType) || workflow.state === 'disabled_manually') continue
    createRun(state, {
      repository: repository.fullName,
      displayTitle: workflow.runName?.(dispatch.clientPayload) ?? dispatch.eventType,
      name: workflow.name,
      path: workflow.path,
      workflowId: workflow.id,
    })
  }
}

/** Schedules work, unless the server is closed in the meantime. */
export function later(state: GitHubState, ms: number, work: () => unknown): void {
  const timer = setTimeout(() => {
    state.timers.delete(timer)
    work()
  }, ms)
  state.timers.add(timer)
}

/** Formats a time in whole seconds, as GitHub does. */
export const seconds = (at = Date.now()) => `${new Date(at).toISOString().slice(0, 19)}Z`
