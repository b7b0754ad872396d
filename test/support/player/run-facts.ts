import { basename } from 'node:path'
import type { Workflow } from './read-workflow.ts'
import { refuse } from './refuse.ts'
import type { PlayOptions } from './types.ts'

const branch = 'main'

/** The event as the runner writes it to `GITHUB_EVENT_PATH`. */
export function eventFile(options: PlayOptions): Record<string, unknown> {
  const [owner, name] = options.repository.split('/')
  const { payload } = options.event
  const around = {
    repository: {
      id: options.repositoryId ?? 1296269,
      name,
      full_name: options.repository,
      owner: { login: owner, id: 6811672, type: 'Organization' },
      default_branch: branch,
      html_url: `${serverUrl(options)}/${options.repository}`,
    },
    organization: { login: owner, id: 6811672 },
    sender: { login: options.actor ?? 'octocat', id: 583231, type: 'User' },
  }
  if (options.event.name !== 'repository_dispatch') return { ...around, ...payload }
  const { event_type, client_payload, ...more } = payload
  if (typeof event_type !== 'string') refuse('a repository_dispatch without "event_type" in its payload')
  if (Object.keys(more).length > 0)
    refuse(`"${Object.keys(more)[0]}" in the payload of a repository_dispatch`)
  return { action: event_type, branch, client_payload: client_payload ?? {}, ...around }
}

/** The `github` context, without what differs from job to job. */
export function githubContext(
  options: PlayOptions,
  workflow: Workflow,
  file: string,
  event: Record<string, unknown>,
  run: { id: number; runNumber: number; attempt: number; headSha?: string; actor?: string | null },
): Record<string, unknown> {
  const actor = options.actor ?? run.actor ?? 'octocat'
  const apiUrl = options.apiUrl ?? options.github?.url ?? 'https://api.github.com'
  const enterprise = /\/api\/v3$/.test(apiUrl)
  const ref = `refs/heads/${branch}`
  const sha = options.sha ?? run.headSha ?? 'f83a356604ae3c5d03e1b46ef4d1ca77d64a90b0'
  return {
    token: options.token ?? options.github?.token ?? '',
    actor,
    triggering_actor: actor,
    event,
    event_name: options.event.name,
    repository: options.repository,
    repository_id: String(options.repositoryId ?? 1296269),
    repository_owner: options.repository.split('/')[0],
    repository_owner_id: '6811672',
    run_id: String(run.id),
    run_number: String(run.runNumber),
    run_attempt: String(run.attempt),
    workflow: workflow.name,
    workflow_ref: `${options.repository}/${workflowPath(file)}@${ref}`,
    workflow_sha: sha,
    ref,
    ref_name: branch,
    ref_type: 'branch',
    ref_protected: false,
    head_ref: '',
    base_ref: '',
    sha,
    server_url: serverUrl(options),
    api_url: apiUrl,
    graphql_url: enterprise ? apiUrl.replace(/v3$/, 'graphql') : `${apiUrl}/graphql`,
  }
}

/** The file's path in its repository. */
export function workflowPath(file: string): string {
  return /\.github\/workflows\/.*$/.exec(file)?.[0] ?? `.github/workflows/${basename(file)}`
}

function serverUrl(options: PlayOptions): string {
  return options.serverUrl ?? options.github?.serverUrl ?? 'https://github.com'
}
