import { createHash } from 'node:crypto'
import { basename, dirname } from 'node:path'
import { Hono } from 'hono'
import type { RouteSchemas } from '../route-schemas.ts'
import {
  DISPATCH_DOCS,
  type GitHubEnv,
  invalidRequest,
  openRepository,
  permissionsIn,
  refuse,
} from './access.ts'
import { createRun, later, startListening } from './runs.ts'
import { shower } from './shown.ts'
import type { GitHubState } from './state.ts'
import type { DeclaredInput, Repository } from './types.ts'

type Workflow = Repository['workflows'][number]

const DISPATCH = 'POST /repos/{owner}/{repo}/dispatches'
const MAX_PAYLOAD = 65_535

/** The routes for a repository, its workflows, and its dispatches. */
export function repositoryRoutes(state: GitHubState, schemas: RouteSchemas): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>()
  const show = shower(state, schemas)

  app.get('/:owner/:repo', c => {
    const repository = openRepository(state, c)
    const { contents } = permissionsIn(c.var.grant, repository)
    const permissions = {
      admin: false,
      maintain: false,
      triage: true,
      push: contents === 'write',
      pull: true,
    }
    const body = show.repository(repository, 'full-repository', permissions)
    schemas.response('GET /repos/{owner}/{repo}', 200, body)
    return c.json(body)
  })

  app.get('/:owner/:repo/actions/workflows', c => {
    const repository = openRepository(state, c, ['actions', 'read'])
    const workflows = repository.workflows.map(workflow => show.workflow(workflow, repository))
    const body = { total_count: workflows.length, workflows }
    schemas.response('GET /repos/{owner}/{repo}/actions/workflows', 200, body)
    return c.json(body)
  })

  // Serves workflow files and their folder. For `application/vnd.github.raw+json`, the response is the file's text.
  app.get('/:owner/:repo/contents/:path{.+}', c => {
    const repository = openRepository(state, c, ['contents', 'read'])
    const path = c.req.param('path')
    const { workflows } = repository
    const entries = workflows
      .filter(each => dirname(each.path) === path)
      .map(each => entryOf(each, repository))
    if (entries.length > 0) return c.json(entries)
    const file = workflows.find(each => each.path === path)
    if (!file) return refuse(404, 'Not Found')
    if (c.req.header('accept')?.includes('raw')) return c.text(textOf(file))
    const content = Buffer.from(textOf(file)).toString('base64')
    return c.json({ ...entryOf(file, repository), encoding: 'base64', content })
  })

  app.post('/:owner/:repo/dispatches', c => {
    const { body, at } = c.var.request
    const repository = openRepository(state, c, ['contents', 'write'])
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
    // Counts bytes, which is stricter, because it is unknown whether GitHub counts bytes or characters.
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

/** Returns a file's entry in its folder's listing. */
function entryOf(workflow: Workflow, { fullName }: Repository) {
  const { path } = workflow
  const text = textOf(workflow)
  const sha = createHash('sha1')
    .update(`blob ${Buffer.byteLength(text)}\0${text}`)
    .digest('hex')
  const url = `/repos/${fullName}/contents/${path}`
  return { type: 'file', name: basename(path), path, sha, size: Buffer.byteLength(text), url }
}

function textOf({ eventTypes: types, dispatch, content }: Workflow): string {
  const on = { repository_dispatch: { types }, ...(dispatch && { workflow_dispatch: dispatch }) }
  return content ?? `on: ${JSON.stringify(on)}\n`
}

/** Returns a response with its body's ETag, or 304 if the client already has that body. */
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

const ROUTE = 'POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches'
const DOCS = 'https://docs.github.com/rest/actions/workflows#create-a-workflow-dispatch-event'
const MAX_INPUTS = 65_535

/** The route for `workflow_dispatch`. It returns the same errors as GitHub. */
export function workflowDispatchRoute(state: GitHubState, schemas: RouteSchemas): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>()
  const { runDetails = 'given' } = state.options

  app.post('/:owner/:repo/actions/workflows/:workflow/dispatches', c => {
    const { body, at } = c.var.request
    const repository = openRepository(state, c, ['actions', 'write'])
    if (c.var.malformed) return refuse(400, 'Problems parsing JSON', DOCS)
    const errors = schemas.request(ROUTE, body)
    if (errors.length > 0) return invalidRequest(errors, DOCS)
    const {
      ref,
      inputs = {},
      return_run_details: wantsRun = false,
      ...unknown
    } = body as { ref: string; inputs?: Record<string, unknown>; return_run_details?: boolean }
    const isUnknown = runDetails === 'refused' && wantsRun
    const extra = isUnknown ? 'return_run_details' : Object.keys(unknown)[0]
    if (extra) return refuse(422, `Invalid request.\n\n"${extra}" is not a permitted key.`, DOCS)

    const asked = decodeURIComponent(c.req.param('workflow'))
    const workflow = repository.workflows.find(one => [basename(one.path), String(one.id)].includes(asked))
    if (!workflow) return refuse(404, 'Not Found', DOCS)
    if ((workflow.state ?? 'active') !== 'active') {
      return refuse(422, "Cannot trigger a 'workflow_dispatch' on a disabled workflow", DOCS)
    }
    const branch = ref.replace(/^refs\/(heads|tags)\//, '')
    if (![repository.defaultBranch, ...repository.refs].includes(branch)) {
      return refuse(422, `No ref found for: ${ref}`, DOCS)
    }
    if (!workflow.dispatch) return refuse(422, "Workflow does not have 'workflow_dispatch' trigger", DOCS)
    const declared = workflow.dispatch.inputs ?? {}
    const fault = faultOf(inputs, declared)
    if (fault) return refuse(422, fault, DOCS)

    const texts = Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, String(value)]))
    const defaults = Object.entries(declared).map(([name, input]) => [name, String(input.default ?? '')])
    const all: Record<string, string> = { ...Object.fromEntries(defaults), ...texts }
    const run = createRun(state, {
      repository: repository.fullName,
      event: 'workflow_dispatch',
      displayTitle: workflow.dispatch.runName?.(all) ?? workflow.name,
      name: workflow.name,
      path: workflow.path,
      workflowId: workflow.id,
      headBranch: branch,
    })
    const authorization = c.req.header('authorization') ?? ''
    const dispatch = { at, repository: repository.fullName, workflow: workflow.path, ref, inputs: texts }
    const accepted = { ...dispatch, allInputs: all, runId: run.id, authorization }
    state.workflowDispatches.push(accepted)
    for (const listener of state.workflowListeners) later(state, 0, () => listener(accepted))
    if (!wantsRun || runDetails !== 'given') return c.body(null, 204)
    const path = `${repository.fullName}/actions/runs/${run.id}`
    const response = {
      workflow_run_id: run.id,
      run_url: `${state.url}/repos/${path}`,
      html_url: `${state.serverUrl}/${path}`,
    }
    schemas.response(ROUTE, 200, response)
    return c.json(response)
  })
  return app
}

/** Returns GitHub's message for the first mistake in the inputs. */
function faultOf(
  inputs: Record<string, unknown>,
  declared: Record<string, DeclaredInput>,
): string | undefined {
  const unexpected = Object.keys(inputs).filter(name => !Object.hasOwn(declared, name))
  if (unexpected.length > 0) return `Unexpected inputs provided: ${JSON.stringify(unexpected)}`
  for (const [name, { type = 'string', required, default: preset, options = [] }] of Object.entries(
    declared,
  )) {
    const value = inputs[name]
    if (value === undefined || value === '') {
      if (required && preset === undefined) return `Required input '${name}' not provided`
      continue
    }
    const allowed = { boolean: ['true', 'false'], choice: options }[type as string]
    if (allowed && !allowed.includes(String(value))) {
      return `Provided value '${value}' for input '${name}' not in the list of allowed values`
    }
  }
  if (JSON.stringify(inputs).length > MAX_INPUTS) return 'inputs are too large.'
  return undefined
}
