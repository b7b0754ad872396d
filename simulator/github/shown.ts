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

/** Converts the fake GitHub's state to GitHub's responses. Fields that nothing reads have blank values. */
export function shower(state: GitHubState, schemas: RouteSchemas) {
  /** Adds every field that GitHub's schema requires. */
  const fill = (component: string, self: string, values: Json): Json => {
    const given = schemas.component(component) as Schema
    const schema = given.anyOf?.at(-1) ?? given
    const blanks = (schema.required ?? []).map(key => [key, blank(key, schema.properties?.[key], self)])
    return { ...Object.fromEntries(blanks), ...values }
  }
  const user = (login: string, type = 'User'): Json =>
    fill('simple-user', `${state.url}/users/${login}`, { login, id: idOf(login), type })
  const repositoryUrl = (repository: Repository) => `${state.url}/repos/${repository.fullName}`

  const repository = (from: Repository, component = 'full-repository', permissions?: Json): Json =>
    fill(component, repositoryUrl(from), {
      ...{ id: from.id, name: from.name, full_name: from.fullName, private: true },
      ...{ owner: user(from.owner, 'Organization'), default_branch: from.defaultBranch },
      ...(permissions && { permissions }),
    })

  // A cache, because each run in a list contains its repository twice.
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
      ...{ id: from.id, name: from.name, path: from.path, display_title: from.displayTitle },
      ...{ head_branch: from.headBranch, head_sha: from.headSha, event: from.event },
      ...{ run_number: from.runNumber, run_attempt: from.runAttempt, workflow_id: from.workflowId },
      ...{ status: from.status, conclusion: from.conclusion },
      html_url: `${state.serverUrl}/${of.fullName}/actions/runs/${from.id}`,
      ...{ created_at: from.createdAt, updated_at: from.updatedAt, run_started_at: from.runStartedAt },
      ...{ ...actor, repository: minimal(of), head_repository: minimal(of) },
    })
  }

  const job = (from: GitHubJob, of: GitHubRun, attempt: number, where: Repository): Json =>
    fill('job', `${repositoryUrl(where)}/actions/jobs/${from.id}`, {
      ...{ ...from, run_id: of.id, run_attempt: attempt, workflow_name: of.name },
      ...{ head_branch: of.headBranch, head_sha: of.headSha, created_at: of.createdAt },
    })

  const workflow = (from: Repository['workflows'][number], of: Repository): Json =>
    fill('workflow', `${repositoryUrl(of)}/actions/workflows/${from.id}`, {
      ...{ id: from.id, name: from.name, path: from.path, state: from.state ?? 'active' },
    })

  const app = (from: GitHubApp): Json =>
    fill('integration', `${state.url}/app`, {
      ...{ id: from.id, slug: from.slug, client_id: from.clientId, name: from.slug },
      ...{ owner: user('acme', 'Organization'), permissions: from.permissions, events: ['workflow_run'] },
      html_url: `${state.serverUrl}/apps/${from.slug}`,
    })

  const installation = (from: GitHubApp, owner: string): Json =>
    fill('installation', `${state.url}/app/installations/${from.installationId}`, {
      ...{ id: from.installationId, account: user(owner, 'Organization'), target_type: 'Organization' },
      ...{ app_id: from.id, app_slug: from.slug, client_id: from.clientId },
      ...{ permissions: from.permissions, events: ['workflow_run'] },
      repository_selection: from.repositories ? 'selected' : 'all',
    })

  const reviewer = (name: string): Json => {
    const team = /^team:(.*)/.exec(name)?.[1]
    if (team === undefined) return { type: 'User', reviewer: user(name) }
    const values = { name: team, slug: team, type: 'organization' }
    return { type: 'Team', reviewer: fill('team', `${state.url}/teams/${team}`, values) }
  }
  const pendingDeployment = (from: PendingDeployment): Json => ({
    ...{
      environment: { id: idOf(from.environment), name: from.environment },
      wait_timer: from.waitTimer ?? 0,
    },
    ...{ wait_timer_started_at: null, current_user_can_approve: false },
    reviewers: from.reviewers.map(reviewer),
  })
  const review = (from: Review): Json => ({
    environments: [{ id: idOf(from.environment), name: from.environment }],
    ...{ state: from.state, user: user(from.user), comment: from.comment },
  })
  return { repository, run, job, workflow, app, installation, pendingDeployment, review }
}

const idOf = (name: string) =>
  [...name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 90_000_000

/** Returns a token's primary rate limit, as GitHub counts it. */
export function rateOf(state: GitHubState, grant: Grant | undefined) {
  const limit = grant ? (state.options.hourlyLimit ?? 5000) : 60
  const used = grant?.used ?? 0
  // Without a limit, there is always at least one remaining request.
  const remaining = Math.max(limit - used, state.options.hourlyLimit === undefined ? 1 : 0)
  return { limit, remaining, reset: state.resetAt, used: limit - remaining }
}

function blank(key: string, schema: Schema | undefined, self: string): unknown {
  if (schema?.anyOf?.some(option => option.type === 'null')) return null
  if (key === 'url') return self
  if (key.endsWith('_url')) return `${self}/${key.slice(0, -4)}`
  if (schema?.format === 'date-time') return '2025-03-04T08:15:30Z'
  const blanks: Json = { boolean: false, integer: 0, array: [], object: {}, string: '' }
  return schema?.type ? blanks[schema.type] : null
}
