import { describe, expect, onTestFinished, test } from 'vitest'
import type { JsonObject } from '../../port/types.ts'
import { createGitHub } from '../../relay/github/client.ts'
import { startGitHubApi } from '../../simulator/github/github.ts'
import type { DeclaredInput, GitHubApiOptions, NewRepository } from '../../simulator/github/types.ts'
import { dispatchContent, formContent } from '../support/dispatch-content.ts'
import { useNock } from '../support/nock.ts'

const nock = useNock()

/** The inputs that a workflow can declare in addition to the form inputs. */
const OFFERED = { port: {}, port_context: {}, port_run_id: {}, run_id: {}, port_payload: {} }
const TARGET = { repository: 'acme/shop', eventType: 'deploy', workflow: 'deploy.yml', ref: null }

const workflowOf = (inputs: Record<string, DeclaredInput>) => ({
  ...{ path: '.github/workflows/deploy.yml', name: 'Deploy', eventTypes: [], dispatch: { inputs } },
})
const isPost = ({ method }: { method: string }) => method === 'POST'
const isFile = ({ path }: { path: string }) => path.includes('/contents/')

/** @param options.isHidden whether the relay can't read the workflow file */
async function open(
  inputs: Record<string, DeclaredInput> = {},
  { isHidden = false, ...options }: GitHubApiOptions & { isHidden?: boolean } = {},
  repository: NewRepository = {},
) {
  const api = await startGitHubApi(options)
  onTestFinished(() => api.close())
  if (isHidden) api.fail({ match: isFile, status: 403, times: Number.POSITIVE_INFINITY })
  const workflow = workflowOf(inputs)
  const { workflows } = api.addRepository('acme/shop', { workflows: [workflow], ...repository })
  let offset = 0
  const config = { apiUrl: api.url, auth: { token: api.token }, webhookSecret: null, oidcIssuer: '' }
  const isAllowed = (name: string) => name === 'acme/store'
  const github = createGitHub(config, () => Date.now() + offset, undefined, { isAllowed })
  return {
    api,
    id: workflows[0]!.id,
    workflow,
    advance(ms: number) {
      offset += ms
    },
    dispatch: (given: JsonObject = {}, target: Partial<typeof TARGET> | { ref: string } = {}) =>
      github.dispatch({ ...TARGET, ...target }, formContent(given)),
    /** Dispatches a complete webhook body. */
    send: (body: JsonObject, relay?: string) => github.dispatch(TARGET, dispatchContent(body, relay)),
    /** Returns the bodies of the dispatches since the last call. */
    sent() {
      const posts = api.requests.filter(isPost)
      api.clearRequests()
      return posts.map(({ body }) => body as { ref: string; inputs: Record<string, string> })
    },
  }
}

describe('a workflow_dispatch', () => {
  test('starts the workflow on the default branch, and the response identifies the run', async () => {
    const { api, dispatch, sent } = await open({ service: {}, ...OFFERED }, {}, { defaultBranch: 'trunk' })
    const outcome = await dispatch({ service: 'web' })
    const [run] = api.runs
    expect(outcome).toMatchObject({
      kind: 'accepted',
      run: { id: run!.id, url: `${api.serverUrl}/acme/shop/actions/runs/${run!.id}` },
    })
    const [body] = sent()
    expect(body).toMatchObject({ ref: 'trunk', return_run_details: true })
    expect(body!.inputs.service).toBe('web')
    expect(JSON.parse(body!.inputs.port!)).toEqual(formContent({ service: 'web' }).payload)
    await dispatch({ service: 'web' })
    expect(api.requests.map(({ method }) => method)).toEqual(['POST'])
  })

  test('can target a branch, a tag, or a workflow by its id', async () => {
    const { api, id, dispatch } = await open({}, {}, { refs: ['next', 'v1'] })
    for (const target of [{ ref: 'next' }, { ref: 'v1' }, { workflow: String(id) }])
      expect(await dispatch({}, target)).toMatchObject({ kind: 'accepted' })
    const workflow = '.github/workflows/deploy.yml'
    const expected = ['next', 'v1', 'main'].map(ref => ({ workflow, ref }))
    expect(api.workflowDispatches).toMatchObject(expected)
  })

  test('sends strings unchanged, other inputs as JSON text, and omits null', async () => {
    const names = ['text', 'flag', 'count', 'tags', 'config', 'size', ...Object.keys(OFFERED)]
    const declared = Object.fromEntries(names.map(name => [name, { default: 'preset' }]))
    const { api, dispatch } = await open(declared)
    await dispatch({ text: 'a\nb', flag: false, count: 1.5, tags: ['x'], config: { a: null }, size: null })
    const { port, port_context: _, port_payload: __, ...inputs } = api.workflowDispatches[0]!.allInputs
    expect(inputs).toEqual({
      ...{ port_run_id: 'r_1', run_id: 'r_1', text: 'a\nb', flag: 'false', count: '1.5' },
      ...{ tags: '["x"]', config: '{"a":null}', size: 'preset' },
    })
    expect(JSON.parse(port!).run_id).toBe('r_1')
  })

  test('contains only declared inputs, and reads the workflow file at most once a minute', async () => {
    const { api, dispatch, sent, advance } = await open({ service: {}, port_context: {} })
    const requests: string[] = []
    for (const pause of [0, 59_000, 2_000]) {
      advance(pause)
      expect(await dispatch({ service: 'web' }, { ref: 'main' })).toMatchObject({ kind: 'accepted' })
      requests.push(api.requests.map(({ method }) => method).join(' '))
      expect(sent().map(({ inputs }) => Object.keys(inputs).sort())).toEqual([['port_context', 'service']])
    }
    expect(requests).toEqual(['GET POST', 'POST', 'GET POST'])
  })

  test("if the file can't be read, omits the inputs that GitHub has refused, and offers them again at most once a minute", async () => {
    const { dispatch, sent, advance } = await open({ service: {}, port_context: {} }, { isHidden: true })
    const requests: number[] = []
    for (const pause of [0, 59_000, 2_000]) {
      advance(pause)
      expect(await dispatch({ service: 'web' })).toMatchObject({ kind: 'accepted' })
      const names = sent().map(({ inputs }) => Object.keys(inputs).sort())
      expect(names.at(-1)).toEqual(['port_context', 'service'])
      requests.push(names.length)
    }
    expect(requests).toEqual([2, 1, 2])
  })

  test.each([
    ["can't be read", 6, true, 'accepted'],
    ['was read', 3, false, 'rejected'],
  ])(
    'if the file %s and GitHub refuses one input at a time, at most %i requests are sent',
    async (_, most, isHidden, kind) => {
      const { api, dispatch, sent } = await open(OFFERED, { isHidden })
      for (const name of Object.keys(OFFERED))
        api.fail({ match: isPost, status: 422, body: { message: `Unexpected inputs provided: ["${name}"]` } })
      expect(await dispatch()).toMatchObject({ kind })
      expect(sent()).toHaveLength(most)
    },
  )

  test('is sent if the input "port" contains the undeclared input from the user', async () => {
    const { api, dispatch, sent } = await open({ service: {}, port: {} })
    expect(await dispatch({ service: 'web', note: 'x', empty: null })).toMatchObject({ kind: 'accepted' })
    expect(Object.keys(api.workflowDispatches[0]!.inputs).sort()).toEqual(['port', 'service'])
    expect(JSON.parse(api.workflowDispatches[0]!.inputs.port!).port.inputs).toMatchObject({ note: 'x' })
    expect(sent()).toHaveLength(1)
  })

  test("is rejected if a user's input would be lost, with a message that suggests the closest declared name", async () => {
    const { api, workflow, dispatch, sent } = await open({ environment: {}, port: { type: 'number' } })
    const given = { enviroment: 'prod', note: 'x', port: 8080 }
    const reason = /"enviroment" \(closest declared input: "environment"\), "note" on "main": declare them/
    const rejected = { kind: 'rejected', reason: expect.stringMatching(reason) }
    expect(await dispatch(given)).toEqual(rejected)
    expect(sent()).toEqual([])
    // Before a rejection, the file is read again, because an author may have corrected the workflow.
    Object.assign(workflow.dispatch.inputs, { enviroment: {}, note: {} })
    expect(await dispatch(given)).toMatchObject({ kind: 'accepted' })
    expect(api.workflowDispatches[0]!.inputs).toEqual({ enviroment: 'prod', note: 'x', port: '8080' })
  })

  test('sends port_context and port_payload unchanged from the body, or else in the format of the guides', async () => {
    const declared = { version: { default: 'preset' }, ...OFFERED }
    const { api, send } = await open(declared)
    const user = { email: 'ada@acme.example', firstName: 'Ada', phoneNumber: '0909' }
    const context = { runId: 'r_1', entity: 'shop', version: 2, trigger: { by: { user } }, run_id: null }
    const text = JSON.stringify({ run: { id: 'r_1' }, inputs: { version: '1' } }, null, 1)
    await send({ service: 'web', port_context: context, port_payload: text })
    const { port, ...asWritten } = api.workflowDispatches[0]!.allInputs
    expect(asWritten).toEqual({
      ...{ version: 'preset', run_id: 'r_1', port_run_id: 'r_1' },
      ...{ port_context: JSON.stringify(context), port_payload: text },
    })
    expect(JSON.parse(port!).port.inputs).toMatchObject({ service: 'web', version: 2 })

    const entity = { identifier: 'shop', title: 'Shop' }
    const trigger = { by: { user }, origin: 'UI', at: '2026-11-01T10:00:00.000Z', operation: 'DAY-2' }
    const action = { identifier: 'deploy', blueprint: 'service' }
    await send({ run: { id: 'r_2' }, action, entity, trigger, inputs: { version: '3' } })
    const { port_context, port_payload } = api.workflowDispatches[1]!.inputs
    const built = {
      ...{ runId: 'r_2', run_id: 'r_2', blueprint: 'service', entity, action: 'deploy' },
      requestedBy: 'ada@acme.example',
      trigger: { ...trigger, by: { user: { email: 'ada@acme.example', name: 'Ada' } } },
      context: { runId: 'r_2', blueprint: 'service', entity: 'shop' },
    }
    expect(JSON.parse(port_context!)).toEqual(built)
    expect(JSON.parse(port_payload!)).toEqual({
      ...built,
      ...{ run: { id: 'r_2' }, payload: { entity, properties: { version: '3' } }, event: null },
    })
  })

  test('drops nothing silently, except the run id and keys outside of "inputs", which no user entered', async () => {
    const { api, send } = await open({ service: {} })
    const body = { run: { id: 'r_1' }, action: { identifier: 'deploy' }, inputs: { service: 'web' } }
    expect(await send({ ...body, note: 'of the author' })).toMatchObject({ kind: 'accepted' })
    expect(await send({ service: 'web', RUN_ID: 'r_1' })).toMatchObject({ kind: 'accepted' })
    expect(await send({ service: 'web', note: 'typed', port_context: { runId: 'r_1' } })).toMatchObject({
      kind: 'rejected',
      reason: expect.stringContaining('"note"'),
    })
    const inputs = { service: 'web' }
    expect(api.workflowDispatches.map(each => each.inputs)).toEqual([inputs, inputs])
  })

  test.each(['ignored', 'refused'] as const)(
    'no longer contains return_run_details after a server has %s this field',
    async runDetails => {
      const { dispatch, sent } = await open(OFFERED, { runDetails })
      expect(await dispatch()).toMatchObject({ kind: 'accepted', run: null })
      expect(sent()).toHaveLength(runDetails === 'refused' ? 2 : 1)
      expect(await dispatch()).toMatchObject({ kind: 'accepted', run: null })
      expect(sent()).toEqual([expect.not.objectContaining({ return_run_details: true })])
    },
  )

  test('uses the new default branch if the default branch was renamed', async () => {
    const { api, dispatch, sent } = await open(OFFERED)
    await dispatch()
    api.addRepository('acme/shop', { defaultBranch: 'trunk', workflows: [workflowOf(OFFERED)] })
    sent()
    expect(await dispatch()).toMatchObject({ kind: 'accepted' })
    expect(sent().map(({ ref }) => ref)).toEqual(['main', 'trunk'])
  })

  test('can have exactly 25 inputs, but then has no input for the payload', async () => {
    const names = Array.from({ length: 25 }, (_, i) => `i${i}`)
    const inputs = Object.fromEntries(names.map(name => [name, 'x']))
    const { dispatch, sent } = await open(Object.fromEntries(names.map(name => [name, {}])))
    expect(await dispatch(inputs)).toMatchObject({ kind: 'accepted' })
    expect(sent().map(body => Object.keys(body.inputs))).toEqual([names])
    // The workflow can't declare a 26th input, and all 25 inputs are used, so no input is left for the payload.
    expect(await dispatch({ ...inputs, i25: 'x' })).toMatchObject({
      kind: 'rejected',
      reason: expect.stringContaining('declare the input "i25"'),
    })
  })

  test('contains only the declared inputs if Port sends more than 25', async () => {
    const given = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`i${i}`, 'x']))
    const inputs = { i3: {}, i30: { required: true }, i59: {}, ...OFFERED }
    const { api, dispatch, sent } = await open(inputs, { isHidden: true })
    expect(await dispatch(given)).toMatchObject({ kind: 'accepted' })
    expect(sent().map(({ inputs }) => Object.keys(inputs).length)).toEqual([25, 25, 20, 8])
    const declared = ['i3', 'i30', 'i59', ...Object.keys(OFFERED)]
    expect(Object.keys(api.workflowDispatches[0]!.inputs).sort()).toEqual(declared.sort())
    expect(await dispatch(given)).toMatchObject({ kind: 'accepted' })
    expect(sent()).toHaveLength(1)
  })

  test('is rejected if its inputs have more characters than GitHub accepts', async () => {
    const { dispatch, sent } = await open({ big: {}, ...OFFERED })
    const reason = /^GitHub accepts at most 65,535 characters .* has 80\d{3}\. .* the largest input is "big"/
    const rejected = { kind: 'rejected', reason: expect.stringMatching(reason) }
    expect(await dispatch({ big: 'é'.repeat(40_000) })).toEqual(rejected)
    expect(sent()).toEqual([])
  })
})

describe('a dispatch that is too large as a whole', () => {
  const long = (name: string, bytes: number) => ({ [name]: 'x'.repeat(bytes) })

  test('shortens port first, then omits port_payload', async () => {
    const { api, dispatch } = await open({ big: {}, ...OFFERED })
    await dispatch(long('big', 30_000))
    await dispatch(long('big', 40_000))
    const [first, second] = api.workflowDispatches.map(({ inputs }) => inputs)
    for (const each of [first!, second!]) {
      expect(JSON.stringify(each).length).toBeLessThanOrEqual(65_535)
      expect(JSON.parse(each.port!).port.truncated).toEqual(['inputs.big'])
      expect(each).toHaveProperty('port_context')
    }
    expect(JSON.parse(first!.port_payload!).payload.properties.big).toHaveLength(30_000)
    expect(second).not.toHaveProperty('port_payload')
  })

  test('is rejected unless the action can fetch the oversized input from the relay', async () => {
    const { api, send } = await open({ port: {} })
    const body = { run: { id: 'r_1' }, action: { identifier: 'deploy' }, inputs: long('note', 70_000) }
    const reason = expect.stringMatching(/has no room for the input "note", .* or set RELAY_PUBLIC_URL/)
    expect(await send(body)).toEqual({ kind: 'rejected', reason })
    expect(api.workflowDispatches).toEqual([])
    expect(await send(body, 'https://relay.example')).toMatchObject({ kind: 'accepted' })
    expect(JSON.parse(api.workflowDispatches[0]!.inputs.port!).port.truncated).toEqual(['inputs.note'])
  })
})

test('accepts a response with the run id and without the URL, but not the page of a proxy', async () => {
  const { api, dispatch, sent } = await open(OFFERED)
  api.fail({ match: isPost, status: 200, body: '<html>' })
  expect(await dispatch()).toMatchObject({ kind: 'response_lost' })
  expect(sent()).toHaveLength(1)
  api.fail({ match: isPost, status: 200, body: { workflow_run_id: 42 } })
  expect(await dispatch()).toMatchObject({ kind: 'accepted', run: { id: 42, url: '' } })
})

const notAllowed = expect.stringContaining(
  'acme/shop is now evil/store on GitHub, which RELAY_ALLOWED_REPOSITORIES',
)
test.each<[string, object, string[], number]>([
  ['acme/store', { kind: 'accepted' }, ['POST', 'GET', 'POST'], 1],
  ['evil/store', { kind: 'rejected', reason: notAllowed }, ['POST', 'GET'], 0],
])(
  'a workflow_dispatch without a response from GitHub is sent to the renamed repository (%s) only if the new name is allowed',
  async (name, outcome, methods, amount) => {
    const { api, dispatch } = await open(OFFERED)
    api.renameRepository('acme/shop', name)
    expect(await dispatch({}, { ref: 'main' })).toMatchObject(outcome)
    const posted = api.requests.filter(each => !isFile(each))
    expect(posted.map(({ method }) => method)).toEqual(methods)
    expect(api.workflowDispatches).toHaveLength(amount)
  },
)

/** GitHub's response to a dispatch of deploy.yml on "main", a part of the reason, and the listed workflow. The input's value is hunter2. */
test.each<[number, string, string, listed?: number, file?: string, state?: string]>([
  [403, 'Resource not accessible by personal access token', 'needs the permission Actions: write'],
  [
    403,
    'Resource protected by organization SAML enforcement.',
    "authorize the relay's token for the organization",
  ],
  [403, 'the `acme` organization has an IP allow list enabled', "to the organization's IP allow list"],
  [403, 'Repository was archived so is read-only.', 'the repository is archived; unarchive it'],
  [404, 'Not Found', 'finds no workflow deploy.yml in acme/shop: the repository', 403, 'deploy.yml'],
  [404, 'Not Found', "can't find acme/shop: it doesn't exist, or the relay's token has no access", 404, ''],
  [404, 'Not Found', 'has no workflow deploy.yml: add .github/workflows/deploy.yml', 200, 'test.yml'],
  [404, 'Not Found', 'is disabled: enable it on GitHub', 200, 'deploy.yml', 'disabled_manually'],
  [404, 'Not Found', 'lacks Actions: write on the repository', 200, 'deploy.yml'],
  [410, '', '(410: no reason given)'],
  [422, "Required input 'service' not provided", 'requires the input "service", which Port didn\'t send'],
  [422, 'Unexpected inputs provided: not a list', "doesn't declare the inputs not a list"],
  [422, 'Unexpected inputs provided: ["other"]', 'doesn\'t declare the inputs ["other"] on "main"'],
  [422, 'No ref found for: main', 'acme/shop has no branch or tag "main"'],
  [422, "Workflow does not have 'workflow_dispatch' trigger", 'has no trigger workflow_dispatch on "main"'],
  [422, "Cannot trigger a 'workflow_dispatch' on a disabled workflow", 'is disabled: enable it on GitHub'],
  [422, "Provided value 'hunter2' for input 'service' not in the list of allowed values", 'input "service"'],
  [422, "Invalid value 'hunter2' for input 'count'", 'doesn\'t accept the value of its input "count"'],
  [422, 'No more than 10 properties are allowed; 11 were supplied.', 'gets more inputs than GitHub allows'],
  [422, 'inputs are too large.', 'GitHub accepts at most 65,535 characters in total'],
  [422, 'Something of hunter2 is new', '(422: Something of *** is new)'],
])(
  'if GitHub rejects a dispatch with %i %j, the reason states what to change',
  async (status, message, part, listed = 500, file = '', state = 'active') => {
    const apiUrl = 'https://api.github.test'
    const workflows = [{ id: 1, path: `.github/workflows/${file}`, state }]
    nock(apiUrl)
      .persist()
      .post('/repos/acme/shop/actions/workflows/deploy.yml/dispatches')
      .reply(status, message ? { message } : {})
      .get('/repos/acme/shop/actions/workflows?per_page=100')
      .reply(listed, { workflows })
    onTestFinished(() => nock.cleanAll())
    const github = createGitHub({ apiUrl, auth: { token: 't' }, webhookSecret: null, oidcIssuer: '' })
    const outcome = await github.dispatch({ ...TARGET, ref: 'main' }, formContent({ service: 'hunter2' }))
    expect(outcome).toMatchObject({ kind: 'rejected', reason: expect.stringContaining(part) })
    expect(JSON.stringify(outcome)).not.toContain('hunter2')
  },
)
