import type { RouteSchemas } from '../route-schemas.ts'
import type { GitHubState, Grant } from './state.ts'
import type { GitHubApp, GitHubJob, GitHubRun, PendingDeployment, Repository, Review } from './types.ts'

type Json = Record<string, unknown>
type Schema = {
  type?: string
  format?: string
  required?: string[]
  properties?: Record<string, Schema>
  anyOf?: Schema[]
}

/** Converts the fake GitHub's state to GitHub's responses, with every field that GitHub's schemas require. */
export function shower(state: GitHubState, schemas: RouteSchemas) {
  const fill = (component: string, self: string, values: Json): Json => {
    const schema = schemas.component(component) as Schema
    const filled: Json = {}
    for (const key of schema.required ?? [])
      filled[key] = values[key] ?? blank(key, schema.properties?.[key], self)
    return { ...filled, ...values }
  }
  const user = (login: string, type = 'User'): Json => {
    const id = [...login].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 90_000_000
    const self = `${state.url}/users/${login}`
    const html_url = `${state.serverUrl}/${login}`
    return fill('simple-user', self, { login, id, node_id: nodeId('User', id), url: self, html_url, type })
  }
  const repositoryUrl = (repository: Repository) => `${state.url}/repos/${repository.fullName}`

  const repository = (from: Repository, component = 'full-repository', permissions?: Json): Json =>
    fill(component, repositoryUrl(from), {
      id: from.id,
      node_id: nodeId('Repository', from.id),
      name: from.name,
      full_name: from.fullName,
      private: true,
      owner: user(from.owner, 'Organization'),
      url: repositoryUrl(from),
      html_url: `${state.serverUrl}/${from.fullName}`,
      ...(component !== 'minimal-repository' && {
        default_branch: from.defaultBranch,
        visibility: 'private',
        created_at: from.createdAt,
        updated_at: from.createdAt,
        pushed_at: from.createdAt,
        clone_url: `${state.serverUrl}/${from.fullName}.git`,
      }),
      ...(permissions && { permissions }),
      ...(from.archived && { archived: true }),
    })

  // Cached, because each run in a list contains its repository twice.
  const known = new Map<Repository, Json>()
  const minimal = (from: Repository): Json => {
    const shown = known.get(from) ?? repository(from, 'minimal-repository')
    known.set(from, shown)
    return shown
  }

  const run = (from: GitHubRun, of: Repository): Json => {
    const self = `${repositoryUrl(of)}/actions/runs/${from.id}`
    const actor = from.actor === null ? {} : { actor: user(from.actor), triggering_actor: user(from.actor) }
    return fill('workflow-run', self, {
      id: from.id,
      name: from.name,
      node_id: nodeId('WorkflowRun', from.id),
      head_branch: from.headBranch,
      head_sha: from.headSha,
      path: from.path,
      display_title: from.displayTitle,
      run_number: from.runNumber,
      run_attempt: from.runAttempt,
      event: from.event,
      status: from.status,
      conclusion: from.conclusion,
      workflow_id: from.workflowId,
      url: self,
      html_url: `${state.serverUrl}/${of.fullName}/actions/runs/${from.id}`,
      workflow_url: `${repositoryUrl(of)}/actions/workflows/${from.workflowId}`,
      jobs_url: `${self}/jobs`,
      logs_url: `${self}/logs`,
      pull_requests: [],
      created_at: from.createdAt,
      updated_at: from.updatedAt,
      run_started_at: from.runStartedAt,
      head_commit: null,
      ...actor,
      repository: minimal(of),
      head_repository: minimal(of),
    })
  }

  const job = (from: GitHubJob, of: GitHubRun, attempt: number, where: Repository): Json => {
    const self = `${repositoryUrl(where)}/actions/jobs/${from.id}`
    return fill('job', self, {
      ...from,
      node_id: nodeId('Job', from.id),
      run_id: of.id,
      run_attempt: attempt,
      run_url: `${repositoryUrl(where)}/actions/runs/${of.id}`,
      workflow_name: of.name,
      head_branch: of.headBranch,
      head_sha: of.headSha,
      url: self,
      html_url: `${state.serverUrl}/${where.fullName}/actions/runs/${of.id}/job/${from.id}`,
      check_run_url: `${repositoryUrl(where)}/check-runs/${from.id}`,
      created_at: of.createdAt,
    })
  }

  const workflow = (from: Repository['workflows'][number], of: Repository): Json => {
    const self = `${repositoryUrl(of)}/actions/workflows/${from.id}`
    return fill('workflow', self, {
      id: from.id,
      node_id: nodeId('Workflow', from.id),
      name: from.name,
      path: from.path,
      state: from.state ?? 'active',
      url: self,
      html_url: `${state.serverUrl}/${of.fullName}/blob/${of.defaultBranch}/${from.path}`,
      badge_url: `${state.serverUrl}/${of.fullName}/workflows/${encodeURIComponent(from.name)}/badge.svg`,
      created_at: of.createdAt,
      updated_at: of.createdAt,
    })
  }

  const app = (from: GitHubApp): Json => ({
    id: from.id,
    slug: from.slug,
    client_id: from.clientId,
    node_id: nodeId('App', from.id),
    owner: user('acme', 'Organization'),
    name: from.slug,
    description: null,
    external_url: 'https://relay.example',
    html_url: `${state.serverUrl}/apps/${from.slug}`,
    created_at: '2026-01-20T10:00:00Z',
    updated_at: '2026-01-20T10:00:00Z',
    permissions: from.permissions,
    events: ['workflow_run'],
  })

  const installation = (from: GitHubApp, owner: string): Json => {
    const self = `${state.url}/app/installations/${from.installationId}`
    return fill('installation', self, {
      id: from.installationId,
      account: user(owner, 'Organization'),
      app_id: from.id,
      app_slug: from.slug,
      client_id: from.clientId,
      target_type: 'Organization',
      repository_selection: from.repositories ? 'selected' : 'all',
      permissions: from.permissions,
      events: ['workflow_run'],
      access_tokens_url: `${self}/access_tokens`,
      html_url: `${state.serverUrl}/organizations/${owner}/settings/installations/${from.installationId}`,
      created_at: '2026-01-20T10:00:00Z',
      updated_at: '2026-01-20T10:00:00Z',
    })
  }
  const environment = (name: string, of: Repository): Json => {
    const id = of.id + [...name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7)
    return {
      id,
      node_id: nodeId('Environment', id),
      name,
      url: `${repositoryUrl(of)}/environments/${encodeURIComponent(name)}`,
      html_url: `${state.serverUrl}/${of.fullName}/deployments/activity_log?environments_filter=${encodeURIComponent(name)}`,
    }
  }
  const reviewer = (name: string): Json => {
    const team = /^team:(.*)/.exec(name)?.[1]
    if (team === undefined) return { type: 'User', reviewer: user(name) }
    const self = `${state.url}/teams/${team}`
    const values = {
      id: 1,
      node_id: nodeId('Team', 1),
      name: team,
      slug: team,
      url: self,
      privacy: 'closed',
      type: 'organization',
    }
    return { type: 'Team', reviewer: fill('team', self, { ...values, parent: null }) }
  }
  const pendingDeployment = (from: PendingDeployment, of: Repository): Json => ({
    environment: environment(from.environment, of),
    wait_timer: from.waitTimer ?? 0,
    wait_timer_started_at: null,
    current_user_can_approve: false,
    reviewers: from.reviewers.map(reviewer),
  })
  const review = (from: Review, of: Repository): Json => ({
    environments: [
      { ...environment(from.environment, of), created_at: of.createdAt, updated_at: of.createdAt },
    ],
    state: from.state,
    user: user(from.user),
    comment: from.comment,
  })
  return { repository, run, job, workflow, app, installation, pendingDeployment, review }
}

/** Returns a token's primary rate limit, as GitHub counts it. */
export function rateOf(state: GitHubState, grant: Grant | undefined) {
  const limit = grant ? (state.options.hourlyLimit ?? 5000) : 60
  const used = grant?.used ?? 0
  // If no limit is enforced, at least one request is always reported as remaining.
  const remaining = Math.max(limit - used, state.options.hourlyLimit === undefined ? 1 : 0)
  return { limit, remaining, reset: state.resetAt, used: limit - remaining }
}

const nodeId = (kind: string, id: number) => Buffer.from(`0${kind.length}:${kind}${id}`).toString('base64')

function blank(key: string, schema: Schema | undefined, self: string): unknown {
  if (schema?.anyOf?.some(option => option.type === 'null')) return null
  if (key.endsWith('_url')) return `${self}/${key.slice(0, -4)}`
  const blanks: Json = { boolean: false, integer: 0, array: [], object: {}, string: '' }
  return schema?.type ? blanks[schema.type] : null
}
