import { type Context, Hono } from 'hono'
import type { RouteSchemas } from '../route-schemas.ts'
import { authenticateApp, type GitHubEnv, invalidRequest, refuse } from './access.ts'
import { seconds } from './runs.ts'
import { shower } from './shown.ts'
import { addToken, type GitHubState } from './state.ts'
import type { GitHubApp, Permissions } from './types.ts'

const TOKENS = 'POST /app/installations/{installation_id}/access_tokens'
const DOCS = 'https://docs.github.com/rest/apps/apps#create-an-installation-access-token-for-an-app'
const HOUR = 3_600_000

/** The routes that a GitHub App calls with its own JWT. */
export function appRoutes(state: GitHubState, schemas: RouteSchemas): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>()
  const show = shower(state, schemas)
  const authenticate = (c: Context<GitHubEnv>) => authenticateApp(state, c.req.header('authorization'))

  app.get('/app', async c => {
    const body = show.app(await authenticate(c))
    schemas.response('GET /app', 200, body)
    return c.json(body)
  })

  app.get('/repos/:owner/:repo/installation', async c => {
    const owner = await authenticate(c)
    const repository = state.repositories.get(`${c.req.param('owner')}/${c.req.param('repo')}`.toLowerCase())
    if (!repository || !installedIn(owner, repository.fullName)) return refuse(404, 'Not Found')
    const body = show.installation(owner, repository.owner)
    schemas.response('GET /repos/{owner}/{repo}/installation', 200, body)
    return c.json(body)
  })

  app.post('/app/installations/:installation/access_tokens', async c => {
    const owner = await authenticate(c)
    if (Number(c.req.param('installation')) !== owner.installationId) return refuse(404, 'Not Found')
    if (c.var.malformed) return refuse(400, 'Problems parsing JSON', DOCS)
    const given = (c.var.request.body ?? {}) as {
      repositories?: string[]
      repository_ids?: number[]
      permissions?: Permissions
    }
    const errors = schemas.request(TOKENS, given)
    if (errors.length > 0) return invalidRequest(errors, DOCS)

    const installed = [...state.repositories.values()].filter(one => installedIn(owner, one.fullName))
    const asked = given.repositories !== undefined || given.repository_ids !== undefined
    const chosen = installed.filter(
      one => !asked || given.repositories?.includes(one.name) || given.repository_ids?.includes(one.id),
    )
    if (asked && chosen.length < (given.repositories?.length ?? 0) + (given.repository_ids?.length ?? 0)) {
      const words =
        'There is at least one repository that does not exist or is not accessible to the parent installation.'
      return refuse(422, words, DOCS)
    }
    if (given.permissions && !grants(owner.permissions, given.permissions)) {
      return refuse(422, 'The permissions requested are not granted to this installation.', DOCS)
    }
    const permissions = { ...(given.permissions ?? owner.permissions), metadata: 'read' } as Permissions
    const expiresAt = Date.now() + HOUR
    const token = addToken(state, {
      kind: 'integration',
      login: `${owner.slug}[bot]`,
      permissions,
      repositories: asked || owner.repositories ? chosen.map(one => one.fullName) : undefined,
      expiresAt,
    })
    const body = {
      token,
      expires_at: seconds(expiresAt),
      permissions,
      repository_selection: asked || owner.repositories ? 'selected' : 'all',
      ...(asked && { repositories: chosen.map(one => show.repository(one, 'repository')) }),
    }
    schemas.response(TOKENS, 201, body)
    return c.json(body, 201)
  })
  return app
}

const installedIn = (app: GitHubApp, fullName: string) =>
  !app.repositories || app.repositories.some(name => name.toLowerCase() === fullName.toLowerCase())

const grants = (has: Permissions, wants: Permissions) =>
  Object.entries(wants).every(([name, access]) => {
    const own = has[name as keyof Permissions] ?? 'none'
    return own === access || own === 'write' || access === 'none' || name === 'metadata'
  })
