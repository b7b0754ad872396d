import { describe, expect, test } from 'vitest'
import { openReceiving } from './support/receiving.ts'

const open = () => openReceiving({ env: { RELAY_ALLOWED_REPOSITORIES: 'acme/*' } })

describe('a target in the signed body', () => {
  test.each([
    { repository: ['acme/other'] },
    { repository: 7 },
    { repository: false },
    { repository: { name: 'acme/other' } },
    { event_type: 5 },
    { event_type: ['deploy'] },
    { reportWorkflowStatus: 'no' },
  ])('is refused with 422 if it is %j', async github => {
    const must = 'reportWorkflowStatus' in github ? 'true or false' : 'a string'
    const detail = `"github.${Object.keys(github)}" in the body must be ${must}: correct or remove it in the "body" of the Port action.`
    const refusal = { status: 422, body: { detail } }
    expect(await (await open()).post({ body: { v: 1, github } })).toMatchObject(refusal)
  })

  test('counts as not set if it is null or an empty string', async () => {
    const relay = await open()
    for (const nothing of [null, '']) {
      const github = { repository: nothing, event_type: nothing }
      const body = { repository: 'acme/shop', event_type: 'port_action' }
      expect(await relay.post({ body: { nothing, github } })).toMatchObject({ status: 202, body })
    }
    const github = { repository: 'acme/other', event_type: null }
    expect((await relay.post({ body: { github } })).body).toMatchObject({ repository: 'acme/other' })
  })
})

describe("in a body with inputs at the top level, an input that has the name of a key in Port's context", () => {
  const port_context = { runId: 'r_own' }
  const inputs = {
    run: { id: 'r_other' },
    action: 'drop_database',
    github: { repository: 'acme/other', event_type: 'drop_database' },
    trigger: { by: { user: { email: 'somebody@else.example' } } },
    version: '1.4.2',
  }

  test.each([
    ['port_context', { port_context }],
    ['port_context, with an input named inputs', { port_context, inputs: {} }],
    ['port_context of an older body', { port_context: { run_id: 'r_own' } }],
    ['port_payload', { port_payload: { run: { id: 'r_own' } } }],
    ['both', { port_context, port_payload: { context: { runId: 'r_own' }, payload: { properties: {} } } }],
    ['the keys of a change log', { port_context, resourceType: 'entity', diff: {}, status: 'SUCCESS' }],
    ['the keys of an old body', { port_context, context: { runId: 'r_other' }, payload: { properties: {} } }],
  ])('selects no run, no target, and no event type: %s', async (_, context) => {
    const relay = await open()
    const body = { run_id: 'r_own', repository: 'acme/shop', event_type: 'port_action' }
    expect(await relay.post({ body: { ...inputs, ...context } })).toMatchObject({ status: 202, body })
    const [delivery] = await relay.written()
    const expected = { action: null, github: null, inputs: { github: inputs.github, version: '1.4.2' } }
    expect(JSON.parse(delivery!.invocation)).toMatchObject(expected)
  })

  test('does not override the target in port_context, which only the author of the body can set', async () => {
    const relay = await open()
    const github = { repository: 'acme/web', event_type: 'restart' }
    const { body } = await relay.post({ body: { ...inputs, port_context: { ...port_context, github } } })
    expect(body).toMatchObject({ repository: 'acme/web', event_type: 'restart' })
    const [delivery] = await relay.written()
    expect(JSON.parse(delivery!.invocation).inputs).toEqual({ ...inputs, trigger: undefined })
  })
})
