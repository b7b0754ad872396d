import { dirname } from 'node:path'
import type { Contexts, Status } from './evaluate.ts'
import type { WorkflowJob, WorkflowStep } from './read-workflow.ts'
import type { RunOptions, SimulatedJob, SimulatedStep, StepResult } from './types.ts'

/** The state that all jobs of a run share while the run is in progress. */
export type RunState = {
  options: RunOptions
  runId: number
  attempt: number
  event: Record<string, unknown>
  /** The `github` context, without the values that differ between jobs. */
  github: Record<string, unknown>
  /** The run's temporary directory. */
  root: string
  repositoryRoot: string
  /** Aborted when the run is canceled. */
  cancelled: AbortController
  jobs: SimulatedJob[]
  /** Shows the run and its jobs on the fake GitHub. */
  publish: () => void
}

/** A step's scope: the job itself or a composite action, each with its own `steps` and status. */
export type Scope = {
  steps: Record<string, { outcome: StepResult; conclusion: StepResult; outputs: Record<string, string> }>
  inputs: unknown
  secrets: Record<string, string> | null
  /** Set inside a composite action. */
  actionPath: string | null
  env: Record<string, string>
  failed: boolean
  simulated: SimulatedStep[]
  /** The surrounding composite step's timeout. */
  stop: AbortSignal | null
  /** Post steps, which run in reverse order. A composite action's post steps appear as a single step of its job. */
  posts: PostStep[]
  /** Registers the surrounding composite step's post step. */
  registerAround: (() => void) | null
}

type PostStep = {
  step: WorkflowStep
  record: SimulatedStep
  simulate: () => Promise<void>
}

/** A job in progress. */
export type JobState = {
  run: RunState
  job: WorkflowJob
  /** The path of the workflow file that contains the job. */
  file: string
  simulated: SimulatedJob
  /** github, vars, needs, strategy, matrix. */
  contexts: Contexts
  scope: Scope
  /** The values that steps added through `GITHUB_ENV` and `GITHUB_PATH`. */
  addedEnv: Record<string, string>
  addedPath: string[]
  masker: Masker
  trackingId: string
  temp: string
  workspace: string
  oidc: { url: string; requestToken: string } | null
  cancelled: AbortSignal
  /** Aborted once no further step or process can run. */
  ended: AbortSignal
}

/** `job.status`, and the results of the `if:` status functions. */
export function jobStatus(state: JobState): 'success' | 'failure' | 'cancelled' {
  if (state.cancelled.aborted) return 'cancelled'
  return state.scope.failed ? 'failure' : 'success'
}

/** Returns `success()`, `failure()`, and `cancelled()` for a scope. A composite action has its own results. */
export function scopeStatus(state: JobState, scope: Scope): Status {
  const cancelled = state.cancelled.aborted
  return { success: !cancelled && !scope.failed, failure: !cancelled && scope.failed, cancelled }
}

/** Returns every context that `${{ }}` can read in a step. */
export function stepContexts(state: JobState, scope: Scope, env: Record<string, string>): Contexts {
  const { run, contexts } = state
  const github = contexts.github as Record<string, unknown>
  const { repository, ref, workflow_sha } = run.github
  return {
    ...contexts,
    github: scope.actionPath === null ? github : { ...github, action_path: scope.actionPath },
    inputs: scope.inputs,
    secrets: scope.secrets,
    env,
    steps: scope.steps,
    job: {
      ...{ status: jobStatus(state), workflow_ref: `${repository}/${state.file}@${ref}`, workflow_sha },
      ...{ workflow_repository: repository, workflow_file_path: state.file },
      check_run_id: state.simulated.databaseId,
    },
    runner: runnerContext(state),
  }
}

export const RUNNER_NAME = 'GitHub Actions 1'

/** Returns the `runner` context, which is also `RUNNER_*` in a step's environment. */
export function runnerContext(state: JobState): Record<string, string> {
  const systems: Record<string, string> = { linux: 'Linux', darwin: 'macOS', win32: 'Windows' }
  return {
    name: RUNNER_NAME,
    os: systems[process.platform] ?? 'Linux',
    arch: process.arch === 'arm64' ? 'ARM64' : 'X64',
    environment: 'github-hosted',
    temp: state.temp,
    tool_cache: `${state.run.root}/_tool`,
    workspace: dirname(state.workspace),
  }
}

export type Masker = { add(value: string): void; mask(text: string): string }

/**
 * Hides secrets as the runner does: the value, each of its lines, and its common encodings become `***`.
 * Source: Worker.cs and ValueEncoders.cs of actions/runner; its `Uri.EscapeDataString` escapes !'()* too.
 */
export function createMasker(): Masker {
  const values = new Set<string>()
  return {
    add(value) {
      for (const part of [value, ...value.split(/[\r\n]+/)]) {
        if (part === '') continue
        const json = JSON.stringify(part).slice(1, -1)
        const unquoted = part.length > 8 ? part.replace(/^"(.*)"$/, '$1') : part
        for (const form of [
          part,
          json,
          unquoted,
          encodeURIComponent(part).replace(
            /[!'()*]/g,
            char => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
          ),
          Buffer.from(part).toString('base64'),
        ]) {
          if (form !== '') values.add(form)
        }
      }
    },
    mask(text) {
      const longestFirst = [...values].sort((a, b) => b.length - a.length)
      return longestFirst.reduce((masked, value) => masked.replaceAll(value, '***'), text)
    },
  }
}
