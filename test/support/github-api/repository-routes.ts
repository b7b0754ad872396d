import { createHash } from 'node:crypto'
import { Hono } from 'hono'
import type { RouteSchemas } from '../route-schemas.ts'
import { openRepository, permissionsIn } from './access.ts'
import type { GitHubEnv } from './env.ts'
import { DISPATCH_DOCS, invalidRequest, refuse } from './errors.ts'
import { later, startListening } from './runs.ts'
import { shower } from './shown.ts'
import type { GitHubState } from './state.ts'

const DISPATCH = 'POST /repos/{owner}/{repo}/dispatches'
const MAX_PAYLOAD = 65_535

/** A repository: what it is, its workflows, dispatches to it. */
export function repositoryRoutes(state: GitHubState, schemas: RouteSchemas): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>()
  const show = shower(state, schemas)

  app.get('/:owner/:repo', c => {
    const { grant } = c.var
    const repository = openRepository(state, grant, `${c.req.param('owner')}/${c.req.param('repo')}`)
    if (repository instanceof Response) return repository
    const { contents } = permissionsIn(grant, repository)
    const permissions = {
      admin: false,
      maintain: false,
      triage: true,
      push: contents === 'write',
      pull: true,
    }
    const body = show.repository(repository, 'full-repository', permissions)
    schemas.answer('GET /repos/{owner}/{repo}', 200, body)
    return c.json(body)
  })

  app.get('/:owner/:repo/actions/workflows', c => {
    const fullName = `${c.req.param('owner')}/${c.req.param('repo')}`
    const repository = openRepository(state, c.var.grant, fullName, ['actions', 'read'])
    if (repository instanceof Response) return repository
    const workflows = repository.workflows.map(workflow => show.workflow(workflow, repository))
    const body = { total_count: workflows.length, workflows }
    schemas.answer('GET /repos/{owner}/{repo}/actions/workflows', 200, body)
    return c.json(body)
  })

  // As `application/vnd.github.raw+json` has it: the file alone.
  app.get('/:owner/:repo/contents/:path{.+}', c => {
    const fullName = `${c.req.param('owner')}/${c.req.param('repo')}`
    const repository = openRepository(state, c.var.grant, fullName, ['contents', 'read'])
    if (repository instanceof Response) return repository
    const workflow = repository.workflows.find(({ path }) => path === c.req.param('path'))
    if (!workflow) return refuse(404, 'Not Found')
    const { eventTypes: types, dispatch } = workflow
    const on = { repository_dispatch: { types }, ...(dispatch && { workflow_dispatch: dispatch }) }
    return c.text(workflow.content ?? `on: ${JSON.stringify(on)}\n`)
  })

  app.post('/:owner/:repo/dispatches', c => {
    const { body, at } = c.var.request
    const fullName = `${c.req.param('owner')}/${c.req.param('repo')}`
    const repository = openRepository(state, c.var.grant, fullName, ['contents', 'write'])
    if (repository instanceof Response) return repository
    if (c.var.malformed) return refuse(400, 'Problems parsing JSON', DISPATCH_DOCS)
    const errors = schemas.request(DISPATCH, body)
    if (errors.length > 0) return invalidRequest(errors, DISPATCH_DOCS)
    const {
      event_type,
      client_payload = {},
      ...unknown
    } = body as {
      event_type: string
      client_payload?: Record<string, unknown>
    }
    const [extra] = Object.keys(unknown)
    if (extra) return refuse(422, `Invalid request.\n\n"${extra}" is not a permitted key.`, DISPATCH_DOCS)
    // Whether GitHub counts bytes or characters is not known: bytes are the harder of the two.
    if (Buffer.byteLength(JSON.stringify(client_payload)) >= MAX_PAYLOAD) {
      return refuse(422, 'client_payload is too large.', DISPATCH_DOCS)
    }
    const dispatch = {
      at,
      repository: repository.fullName,
      eventType: event_type,
      clientPayload: client_payload,
      authorization: c.req.header('authorization') ?? '',
    }
    state.dispatches.push(dispatch)
    if (state.options.autoRun) startListening(state, repository, dispatch)
    for (const listener of state.listeners) later(state, 0, () => listener(dispatch))
    return c.body(null, 204)
  })
  return app
}

/** An answer with the ETag of its body, or 304 where the client has it already. */
export function tagged(
  body: unknown,
  ifNoneMatch: string | undefined,
  headers: Record<string, string> = {},
): Response {
  const text = JSON.stringify(body)
  const etag = `W/"${createHash('sha256').update(text).digest('hex')}"`
  if (ifNoneMatch === etag) return new Response(null, { status: 304, headers: { etag } })
  return new Response(text, {
    headers: { ...headers, etag, 'content-type': 'application/json; charset=utf-8' },
  })
}
