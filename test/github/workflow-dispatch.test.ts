import nock from 'nock'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { packClientPayload } from '../../port/client-payload.ts'
import { readInvocation } from '../../port/invocation/read-invocation.ts'
import type { JsonObject } from '../../port/types.ts'
import { createGitHub } from '../../relay/github/client.ts'
import type { DeclaredInput, GitHubApiOptions, NewRepository } from '../support/github-api/types.ts'
import { startGitHubApi } from '../support/github-api.ts'
import type { Trouble } from '../support/http-server.ts'
import { REFUSALS } from './workflow-dispatch-refusals.ts'

const TARGET = { repository: 'acme/shop', eventType: 'deploy', workflow: 'deploy.yml', ref: null }

function content(inputs: JsonObject) {
  const run = { id: 'r_1' }
  const invocation = readInvocation({ run, action: { identifier: 'deploy' }, inputs })
  const payload = packClientPayload({ ...invocation, inputs }, { delivery: 'd_1', relay: null })
  return { inputs, payload }
}

async function open(
  inputs: Record<string, DeclaredInput> = {},
  options: GitHubApiOptions = {},
  repository: NewRepository = {},
) {
  const api = await startGitHubApi(options)
  onTestFinished(() => api.close())
  const workflow = {
    path: '.github/workflows/deploy.yml',
    name: 'Deploy',
    eventTypes: [],
    dispatch: { inputs },
  }
  const { workflows } = api.addRepository('acme/shop', { workflows: [workflow], ...repository })
  let offset = 0
  const clock = () => Date.now() + offset
  const auth = { token: api.token }
  const config = { apiUrl: api.url, auth, webhookSecret: null, oidcIssuer: '' }
  const isAllowed = (name: string) => name === 'acme/store'
  const github = createGitHub(config, clock, undefined, { isAllowed })
  return {
    api,
    id: workflows[0]!.id,
    workflow,
    advance(ms: number) {
      offset += ms
    },
    dispatch: (given: JsonObject = {}, target: Partial<typeof TARGET> | { ref: string } = {}) =>
      github.dispatch({ ...TARGET, ...target }, content(given)),
    /** The bodies of the dispatches that were sent since the last call. */
    sent() {
      const posts = api.requests.filter(({ method }) => method === 'POST')
      api.clearRequests()
      return posts.map(({ body }) => body as { ref: string; inputs: Record<string, string> })
    },
  }
}

describe('a workflow_dispatch', () => {
  test('goes to the workflow on the default branch, and its answer names the run', async () => {
    const { api, dispatch, sent } = await open({ service: {}, port: {} }, {}, { defaultBranch: 'trunk' })
    const outcome = await dispatch({ service: 'web' })
    const [run] = api.runs
    expect(outcome).toMatchObject({
      kind: 'accepted',
      run: { id: run!.id, url: `${api.serverUrl}/acme/shop/actions/runs/${run!.id}` },
    })
    const [body] = sent()
    expect(body).toMatchObject({ ref: 'trunk', return_run_details: true })
    expect(body!.inputs.service).toBe('web')
    expect(JSON.parse(body!.inputs.port!)).toEqual(content({ service: 'web' }).payload)
    await dispatch({ service: 'web' })
    expect(api.requests.map(({ method }) => method)).toEqual(['POST'])
  })

  test('goes to a branch, a tag, or a workflow by its id', async () => {
    const { api, id, dispatch } = await open({}, {}, { refs: ['next', 'v1'] })
    for (const ref of ['next', 'v1']) expect(await dispatch({}, { ref })).toMatchObject({ kind: 'accepted' })
    expect(await dispatch({}, { workflow: String(id) })).toMatchObject({ kind: 'accepted' })
    expect(api.workflowDispatches.map(each => [each.workflow, each.ref])).toEqual([
      ['.github/workflows/deploy.yml', 'next'],
      ['.github/workflows/deploy.yml', 'v1'],
      ['.github/workflows/deploy.yml', 'main'],
    ])
  })

  test('gives inputs as text: booleans, numbers, objects and arrays as JSON; null is left out', async () => {
    const names = ['text', 'flag', 'count', 'tags', 'config', 'size', 'port']
    const declared = Object.fromEntries(names.map(name => [name, { default: 'preset' }]))
    const { api, dispatch } = await open(declared)
    await dispatch({ text: 'a\nb', flag: false, count: 1.5, tags: ['x'], config: { a: null }, size: null })
    const { port, ...inputs } = api.workflowDispatches[0]!.allInputs
    expect(inputs).toEqual({
      text: 'a\nb',
      flag: 'false',
      count: '1.5',
      tags: '["x"]',
      config: '{"a":null}',
      size: 'preset',
    })
    expect(JSON.parse(port!).run_id).toBe('r_1')
  })

  test('leaves out what the workflow does not declare, at the price of one request, once', async () => {
    const { dispatch, sent, advance } = await open({ service: {} })
    expect(await dispatch({ service: 'web', note: 'x' })).toMatchObject({ kind: 'accepted' })
    expect(sent().map(({ inputs }) => Object.keys(inputs))).toEqual([
      ['service', 'note', 'port'],
      ['service'],
    ])
    expect(await dispatch({ service: 'web', note: 'x' })).toMatchObject({ kind: 'accepted' })
    expect(sent().map(({ inputs }) => Object.keys(inputs))).toEqual([['service']])
    // The file may have changed since.
    advance(600_001)
    await dispatch({ service: 'web' })
    expect(sent()).toHaveLength(2)
  })

  test('sends an input again that the workflow now requires', async () => {
    const { workflow, dispatch, sent } = await open({})
    await dispatch({ service: 'web' })
    sent()
    Object.assign(workflow.dispatch.inputs, { service: { required: true }, port: {} })
    expect(await dispatch({ service: 'web' })).toMatchObject({ kind: 'accepted' })
    expect(sent().map(({ inputs }) => Object.keys(inputs))).toEqual([[], ['service', 'port']])
  })

  test.each(['ignored', 'refused'] as const)(
    'a server by which return_run_details is %s is not asked again',
    async runDetails => {
      const { dispatch, sent } = await open({ port: {} }, { runDetails })
      expect(await dispatch()).toMatchObject({ kind: 'accepted', run: null })
      expect(sent()).toHaveLength(runDetails === 'refused' ? 2 : 1)
      expect(await dispatch()).toMatchObject({ kind: 'accepted', run: null })
      expect(sent()).toEqual([expect.not.objectContaining({ return_run_details: true })])
    },
  )

  test('no text of an input or a workflow, which GitHub quotes, stops the relay from asking for the run', async () => {
    const { api, dispatch, sent } = await open({ size: { type: 'choice', options: ['s'] }, port: {} })
    const text = '"return_run_details" is not a permitted key'
    expect(await dispatch({ size: text })).toMatchObject({ kind: 'rejected' })
    expect(await dispatch({ [text]: 'x', return_run_details: 'x' })).toMatchObject({ kind: 'accepted' })
    for (const message of [
      'No ref found for: return_run_details',
      "Required input 'return_run_details' not provided",
      'Unexpected inputs provided: ["return_run_details"]',
    ]) {
      api.fail({ status: 422, body: { message } })
      await dispatch()
    }
    expect(await dispatch()).toMatchObject({ run: { id: expect.any(Number) } })
    const asked = sent()
    for (const body of asked) expect(body).toMatchObject({ return_run_details: true })
  })

  test.each([
    'Invalid request. "return_run_details" is not a permitted key.',
    'Unpermitted parameter: return_run_details',
  ])('a server that answers %j is asked again without the field', async message => {
    const { api, dispatch, sent } = await open({ port: {} })
    api.fail({ match: ({ method }) => method === 'POST', status: 400, body: { message } })
    expect(await dispatch()).toMatchObject({ kind: 'accepted' })
    expect(sent().map(body => 'return_run_details' in body)).toEqual([true, false])
  })

  test('a message about an input with the name of the field is not about the field', async () => {
    const { api, dispatch, sent } = await open({ return_run_details: {}, port: {} })
    const message = 'Invalid request.\n\n"return_run_details" is not a permitted key.'
    api.fail({ match: ({ method }) => method === 'POST', status: 422, body: { message } })
    expect(await dispatch({ return_run_details: 'x' })).toMatchObject({ kind: 'rejected' })
    expect(await dispatch()).toMatchObject({ run: { id: expect.any(Number) } })
    expect(sent()).toHaveLength(2)
  })

  test('finds the default branch again when it was renamed', async () => {
    const { api, dispatch, sent } = await open({ port: {} })
    await dispatch()
    api.addRepository('acme/shop', {
      defaultBranch: 'trunk',
      workflows: [
        {
          path: '.github/workflows/deploy.yml',
          name: 'Deploy',
          eventTypes: [],
          dispatch: { inputs: { port: {} } },
        },
      ],
    })
    sent()
    expect(await dispatch()).toMatchObject({ kind: 'accepted' })
    expect(sent().map(({ ref }) => ref)).toEqual(['main', 'trunk'])
  })

  test('takes exactly 25 inputs, and then has no room for the payload', async () => {
    const inputs = Object.fromEntries(Array.from({ length: 25 }, (_, i) => [`i${i}`, 'x']))
    const { dispatch, sent } = await open(Object.fromEntries(Object.keys(inputs).map(name => [name, {}])))
    expect(await dispatch(inputs)).toMatchObject({ kind: 'accepted' })
    expect(sent().map(body => Object.keys(body.inputs))).toEqual([Object.keys(inputs)])
    // The workflow cannot declare one more.
    expect(await dispatch({ ...inputs, i25: 'x' })).toMatchObject({ kind: 'accepted' })
    expect(sent().map(body => Object.keys(body.inputs))).toEqual([Object.keys(inputs)])
  })

  test('of more than 25 inputs, those that the workflow declares arrive', async () => {
    const given = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`i${i}`, 'x']))
    const { api, dispatch, sent } = await open({ i3: {}, i30: { required: true }, i59: {}, port: {} })
    expect(await dispatch(given)).toMatchObject({ kind: 'accepted' })
    expect(sent().map(({ inputs }) => Object.keys(inputs).length)).toEqual([25, 25, 14, 4])
    expect(Object.keys(api.workflowDispatches[0]!.inputs)).toEqual(['i3', 'i30', 'i59', 'port'])
    expect(await dispatch(given)).toMatchObject({ kind: 'accepted' })
    expect(sent()).toHaveLength(1)
  })

  test('leaves out of the payload what does not fit beside the inputs, and says so in it', async () => {
    const { api, dispatch } = await open({ big: {}, port: {} })
    const big = '"'.repeat(25_000)
    expect(await dispatch({ big, small: 'x' })).toMatchObject({ kind: 'accepted' })
    const { inputs } = api.workflowDispatches[0]!
    expect(inputs.big).toBe(big)
    expect(JSON.stringify(inputs).length).toBeLessThanOrEqual(65_535)
    expect(JSON.parse(inputs.port!).port).toMatchObject({ inputs: { small: 'x' }, truncated: ['inputs.big'] })
  })

  test('is rejected where its inputs are more than GitHub takes', async () => {
    const { dispatch, sent } = await open({ big: {}, port: {} })
    expect(await dispatch({ big: 'é'.repeat(40_000) })).toEqual({
      kind: 'rejected',
      reason:
        'GitHub takes at most 65,535 characters of inputs for a workflow (the relay counts bytes), and this invocation has 80010; the largest input is "big".',
    })
    expect(sent()).toEqual([])
  })
})

test('an answer that names the run alone, without its page, is an answer', async () => {
  const { api, dispatch } = await open({ port: {} })
  api.fail({ match: ({ method }) => method === 'POST', status: 200, body: { workflow_run_id: 42 } })
  expect(await dispatch()).toMatchObject({ kind: 'accepted', run: { id: 42, url: '' } })
})

describe('a workflow_dispatch that GitHub does not answer', () => {
  const isDispatch = ({ method }: { method: string }) => method === 'POST'
  test.each<[string, Trouble]>([
    ['answers with a 502 after it took effect', { status: 502, takesEffect: true }],
    ['answers with a 500', { status: 500 }],
    ['is cut after it took effect', { cut: 'after' }],
    ['is cut before', { cut: 'before' }],
    ["answers with a proxy's page", { status: 200, body: '<html>' }],
  ])('%s: it is not sent again, as it may have started a run', async (_, trouble) => {
    const { api, dispatch, sent } = await open({ port: {} })
    api.fail({ match: isDispatch, ...trouble })
    expect(await dispatch()).toMatchObject({ kind: 'answer_lost' })
    expect(sent()).toHaveLength(1)
  })

  test.each<[string, Trouble, object]>([
    ['401', { status: 401 }, { cause: 'credential', until: null }],
    ['429', { status: 429, headers: { 'retry-after': '30' } }, { cause: 'rate_limit' }],
    ["a proxy's 404", { status: 404, body: '<html>' }, { cause: 'other' }],
  ])('%s defers it: nothing was started', async (_, trouble, outcome) => {
    const { api, dispatch } = await open({ port: {} })
    api.fail({ match: isDispatch, ...trouble })
    expect(await dispatch()).toMatchObject({ kind: 'deferred', ...outcome })
    expect(api.workflowDispatches).toEqual([])
  })

  test.each<[string, Trouble]>([
    ['a 500', { status: 500 }],
    ['a cut', { cut: 'after' }],
    ['a limit', { status: 429 }],
    ['a 401', { status: 401 }],
  ])('%s of the request for the default branch defers it', async (_, trouble) => {
    const { api, dispatch, sent } = await open({ port: {} })
    api.fail(trouble)
    expect(await dispatch()).toMatchObject({ kind: 'deferred' })
    expect(sent()).toEqual([])
  })

  test('waits where GitHub limits the request for the new name', async () => {
    const { api, dispatch } = await open({ port: {} })
    api.renameRepository('acme/shop', 'acme/store')
    api.fail({
      match: ({ path }) => path.startsWith('/repositories/'),
      status: 429,
      headers: { 'retry-after': '30' },
    })
    const outcome = await dispatch({}, { ref: 'main' })
    expect(outcome).toMatchObject({ kind: 'deferred', cause: 'rate_limit' })
    expect('until' in outcome && outcome.until! > Date.now()).toBe(true)
    expect(await dispatch({}, { ref: 'main' })).toMatchObject({ kind: 'deferred', cause: 'rate_limit' })
    expect(api.requests).toHaveLength(2)
  })

  test.each<[string, { kind: string; reason?: string }, string[]]>([
    ['acme/store', { kind: 'accepted' }, ['POST', 'GET', 'POST']],
    [
      'evil/store',
      {
        kind: 'rejected',
        reason:
          'acme/shop is evil/store on GitHub now, which RELAY_ALLOWED_REPOSITORIES does not allow: add evil/store to it, or correct the target.',
      },
      ['POST', 'GET'],
    ],
  ])(
    'goes to %s, as the repository is called now, only where that is allowed',
    async (name, outcome, methods) => {
      const { api, dispatch } = await open({ port: {} })
      api.renameRepository('acme/shop', name)
      expect(await dispatch({}, { ref: 'main' })).toMatchObject(outcome)
      expect(api.requests.map(({ method }) => method)).toEqual(methods)
      expect(api.workflowDispatches).toHaveLength(outcome.kind === 'accepted' ? 1 : 0)
    },
  )
})

describe('what GitHub refuses is reported as a sentence, with what to change:', () => {
  afterEach(() => nock.cleanAll())

  test.each(REFUSALS)('%i %j', async (status, says, sentence) => {
    const body = typeof says === 'string' ? { message: says } : says
    nock('https://api.github.test')
      .persist()
      .post('/repos/acme/shop/actions/workflows/deploy.yml/dispatches')
      .reply(status, body)
    const auth = { token: 'github_pat_x' }
    const apiUrl = 'https://api.github.test'
    const github = createGitHub({ apiUrl, auth, webhookSecret: null, oidcIssuer: '' })
    const outcome = await github.dispatch({ ...TARGET, ref: 'main' }, content({ service: 'hunter2' }))
    expect(outcome).toMatchObject({ kind: 'rejected', reason: sentence })
  })
})
