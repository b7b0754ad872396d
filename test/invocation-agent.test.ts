import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readInvocation } from '../port/invocation/invocation.ts'
import { isObject, type JsonObject } from '../port/types.ts'
import { fixtureNames, readFixture } from './support/fixture.ts'

const sent = (name: string): JsonObject => JSON.parse(Buffer.from(readFixture(name).body).toString())
const object = (value: unknown): JsonObject => (isObject(value) ? value : {})

/**
 * Returns a Port action's body as Port's agent sends it. Translates the agent's `process_run` line by line.
 * https://github.com/port-labs/port-agent/blob/main/app/processors/polling/polling_to_webhook_processor.py
 */
function throughAgent(body: JsonObject, runId: string): JsonObject {
  const headers = { RUN_ID: runId }
  const invocationMethod = { type: 'WEBHOOK', url: 'https://relay.example.com/webhook', headers }
  const payload = object(body.payload)
  return {
    ...body,
    headers,
    payload: { ...payload, action: { ...object(payload.action), invocationMethod } },
    context: { ...object(body.context), runId },
  }
}

describe("a body that is sent through Port's agent", () => {
  // Omits bodies that are already wrapped, never go through the agent, or contain another run's id in their context.
  const others = /-agent$|^change-log|^node-run|^automation-event-spread$/
  const authors = fixtureNames.filter(name => !others.test(name)).map(name => ({ name, body: sent(name) }))

  test.each(authors)('is read like the original body: $name', ({ body }) => {
    const direct = readInvocation(body, 'r_Header')
    const runId = direct.runId as string
    expect(readInvocation(throughAgent(body, runId))).toEqual({ ...direct, runIdFrom: 'body' })
  })

  test.each([
    { version: '1' },
    { action: 'deploy', version: '1', github: { repository: 'acme/shop', event_type: 'x' } },
    { port_payload: { run: { id: 'r_1' }, inputs: { a: 1 }, action: { identifier: 'deploy' } }, own: true },
    { payload: { what: 'the author named it so' }, other: 1 },
    { payload: { action: { kind: 'x' }, size: 1 }, other: 1 },
    { context: { environment: 'production' }, version: '1' },
    { context: { entity: 'shop', blueprint: 'service', runId: 'r_1' }, version: '1' },
    { context: { runId: 'r_1' }, payload: { properties: { version: '1' } } },
    { resourceType: 'entity', diff: {}, context: { blueprintIdentifier: 'service' }, run: { id: 'r_1' } },
    {},
  ] as JsonObject[])('is read like the original body: %j', body => {
    const read = readInvocation(throughAgent(body, 'r_1'))
    expect(read).toEqual({ ...readInvocation(body, 'r_1'), runIdFrom: 'body' })
  })

  test('is read like the original body for any keys of the original', () => {
    const names = ['version', 'action', 'inputs', 'event', 'trigger', 'entity', 'port_context', 'blueprint']
    const body = fc.dictionary(fc.constantFrom(...names, 'run', 'resourceType', 'diff'), fc.jsonValue())
    fc.assert(
      fc.property(body, given => {
        const author = given as JsonObject
        const read = readInvocation(throughAgent(author, 'r_1'))
        expect(read).toEqual({ ...readInvocation(author, 'r_1'), runIdFrom: 'body' })
      }),
      { numRuns: 1000 },
    )
  })

  test('belongs to the run that the agent names, even if the body is an automation event about another run', () => {
    const { port_context: _, ...event } = sent('automation-event-spread')
    expect(object(event.context).runId).toBe('r_Q0YotCZMKxDLdlaU')
    for (const body of [event, { ...event, port_context: { entity: 'shop' } }]) {
      expect(readInvocation(throughAgent(body, 'r_au3aJdlOHUO3d99n'))).toMatchObject({
        runId: 'r_au3aJdlOHUO3d99n',
        event: { resourceType: 'run', diff: event.diff },
        inputs: { environment: 'production' },
      })
    }
  })

  test.each(['port_payload', 'port_context'])('is read like the original body, even inside %s', key => {
    const inner = throughAgent({ version: '1' }, 'r_1')
    for (const body of [{ [key]: inner, own: true }, throughAgent({ [key]: inner, own: true }, 'r_1')])
      expect(readInvocation(body)).toMatchObject({ runId: 'r_1', inputs: { version: '1', own: true } })
    expect(readInvocation({ [key]: inner }).inputs).toEqual({ version: '1' })
  })

  test('is not unwrapped if it only looks like an agent body', () => {
    const invocationMethod = { type: 'WEBHOOK' }
    for (const body of [
      { headers: 1, context: { runId: 'wfr_1' }, payload: { action: { invocationMethod } } },
      { headers: 1, context: { runId: 'r_1' }, payload: { action: { invocationMethod: 'WEBHOOK' } } },
      { headers: 1, context: { runId: 'r_1' }, payload: { invocationMethod } },
    ]) {
      expect(readInvocation(body).inputs).toMatchObject({ headers: 1 })
    }
  })
})

describe("a node of a Port workflow that runs through Port's agent", () => {
  const payload = { action: { invocationMethod: { type: 'WEBHOOK' } } }
  const node = (nodeConfig: unknown) =>
    readInvocation({ headers: {}, payload, context: { runId: 'wfnr_1', nodeConfig } })

  test("is read from the body in the node's configuration", () => {
    expect(readInvocation(sent('node-run-body-agent'))).toMatchObject({
      ...{
        runId: 'wfnr_Zy98Xw76Vu54Ts32',
        kind: 'node_run',
        inputs: { service: 'payments-api', replicas: 3 },
      },
    })
    const expected = { github: { repository: null, eventType: 'x' }, inputs: { v: 1 } }
    expect(node({ body: { v: 1, github: { event_type: 'x' } } })).toMatchObject(expected)
  })

  test('returns a list or a string as the single input "body", and no inputs if there is no body', () => {
    for (const body of [['a'], 'text', 0, false]) expect(node({ body }).inputs).toEqual({ body })
    for (const config of [{}, { body: null }, null, 'x']) {
      expect(node(config)).toMatchObject({ runId: 'wfnr_1', kind: 'node_run', inputs: {} })
    }
  })
})
