import { type JobState, runnerContext, type Scope } from './job-state.ts'

/** Keys of the `github` context that are `GITHUB_*` variables as well. */
const githubVariables =
  'actor api_url base_ref event_name event_path graphql_url head_ref job ref ref_name ref_protected ref_type ' +
  'repository repository_id repository_owner repository_owner_id run_attempt run_id run_number server_url sha ' +
  'triggering_actor workflow workflow_ref workflow_sha workspace'

/** The machine's environment: of the caller's only what a process cannot do without. */
function machineEnv(state: JobState): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TMPDIR'].flatMap(name => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value]]
  })
  return { ...Object.fromEntries(kept), ...state.run.options.env }
}

/** What the author sees as the `env` context: workflow, job, `GITHUB_ENV`. */
export function scopeEnv(state: JobState, scope: Scope): Record<string, string> {
  return { ...state.scope.env, ...state.addedEnv, ...(scope === state.scope ? {} : scope.env) }
}

/**
 * The whole environment of a step's process, as the runner gives it. `GITHUB_TOKEN` is not in it.
 * Source: https://docs.github.com/actions/reference/variables-reference
 */
export function stepEnv(
  state: JobState,
  authored: Record<string, string>,
  own: Record<string, string>,
): Record<string, string> {
  const machine = machineEnv(state)
  const github = state.contexts.github as Record<string, unknown>
  const defaults = githubVariables
    .split(' ')
    .map(name => [`GITHUB_${name.toUpperCase()}`, String(github[name] ?? '')])
  const runner = Object.entries(runnerContext(state)).map(([name, value]) => [
    `RUNNER_${name.toUpperCase()}`,
    value,
  ])
  const oidc = state.oidc && {
    ACTIONS_ID_TOKEN_REQUEST_URL: state.oidc.url,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: state.oidc.requestToken,
  }
  const path = authored.PATH ?? machine.PATH ?? ''
  return {
    ...machine,
    ...authored,
    PATH: [...state.addedPath.toReversed(), path].join(':'),
    CI: authored.CI ?? machine.CI ?? 'true',
    GITHUB_ACTIONS: 'true',
    ...Object.fromEntries(defaults),
    ...Object.fromEntries(runner),
    RUNNER_TRACKING_ID: state.trackingId,
    ...oidc,
    ...own,
  }
}
