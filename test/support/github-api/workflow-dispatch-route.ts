import { basename } from 'node:path'
import { Hono } from 'hono'
import type { RouteSchemas } from '../route-schemas.ts'
import { openRepository } from './access.ts'
import type { GitHubEnv } from './env.ts'
import { invalidRequest, refuse } from './errors.ts'
import { createRun, later } from './runs.ts'
import type { GitHubState } from './state.ts'
import type { DeclaredInput } from './types.ts'

const ROUTE = 'POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches'
const DOCS = 'https://docs.github.com/rest/actions/workflows#create-a-workflow-dispatch-event'
const MAX_INPUTS = 65_535

/** `workflow_dispatch`, with GitHub's own refusals. */
export function workflowDispatchRoute(state: GitHubState, schemas: RouteSchemas): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>()
  const { runDetails = 'given' } = state.options

  app.post('/:owner/:repo/actions/workflows/:workflow/dispatches', c => {
    const { body, at } = c.var.request
    const fullName = `${c.req.param('owner')}/${c.req.param('repo')}`
    const repository = openRepository(state, c.var.grant, fullName, ['actions', 'write'])
    if (repository instanceof Response) return repository
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
    const answer = {
      workflow_run_id: run.id,
      run_url: `${state.url}/repos/${path}`,
      html_url: `${state.serverUrl}/${path}`,
    }
    schemas.answer(ROUTE, 200, answer)
    return c.json(answer)
  })
  return app
}

/** What GitHub says of the first thing that is wrong with the inputs. */
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
