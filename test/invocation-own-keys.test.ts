import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readInvocation } from '../port/invocation/invocation.ts'
import { isObject, type Json, type JsonObject } from '../port/types.ts'
import { fixtureNames, readFixture } from './support/fixture.ts'

const sent = (name: string): JsonObject => JSON.parse(Buffer.from(readFixture(name).body).toString())
const object = (value: unknown): JsonObject => (isObject(value) ? value : {})
const inputs = (body: unknown) => readInvocation(body).inputs

describe('no custom key is lost:', () => {
  test('additional keys in a full context become inputs, but form inputs with the same name take precedence', () => {
    const own = { environment: 'production', config: { a: [1] } }
    const port_context = { runId: 'r_HardNzG6kzc9vWOQ', note: 'mine' }
    const body = { ...sent('context-day2'), ...own, version: 'the author says so', port_context }
    const form = { reason: 'rollback', version: 'v1.2.3', approve: true }
    expect(inputs(body)).toEqual({ ...form, ...own, note: 'mine' })
  })

  test('keys anywhere in a legacy body become inputs', () => {
    const body = {
      action: 'deploy',
      context: { runId: 'r_1', blueprint: 'service', region: 'eu' },
      payload: { properties: { version: '1', a: 'of Port' }, extra: 2, a: 'own' },
      environment: 'production',
      a: 'own too',
    }
    expect(readInvocation(body)).toMatchObject({ runId: 'r_1', action: 'deploy', blueprint: 'service' })
    expect(inputs(body)).toEqual({
      ...{ version: '1', a: 'of Port', extra: 2, region: 'eu', environment: 'production' },
    })
  })

  test("keys in port_context and in a run's context become inputs, but top-level keys take precedence", () => {
    const own = {
      runId: 'r_1',
      entity: 'shop',
      note: 'mine',
      version: '0',
      context: { runId: 'r_1', deep: 1 },
    }
    const context = { runId: 'r_1', nodeRunId: 'wfnr_1', workflowRunId: 'wfr_1', region: 'eu' }
    const expected = { version: '1', note: 'mine', deep: 1, region: 'eu' }
    expect(inputs({ version: '1', port_context: own, context })).toEqual(expected)
  })

  test("a node's own payload is never read as a legacy body", () => {
    for (const own of [
      { entity: { identifier: 'x' } },
      { action: { kind: 'x' } },
      { properties: { a: 1 } },
    ]) {
      const payload = { service: 'shop', ...own }
      for (const context of [{ nodeRunId: 'wfnr_1' }, { runId: 'wfnr_1' }]) {
        const read = readInvocation({ context, payload, other: 1 })
        expect(read).toMatchObject({ runId: 'wfnr_1', kind: 'node_run', entity: null })
        expect(read.inputs).toEqual({ ...payload, other: 1 })
      }
    }
  })

  test('a flat body with port_context is never read as a legacy body, regardless of its other keys', () => {
    const own = { context: { environment: 'x' }, payload: { entity: { identifier: 'x' }, size: 1 } }
    expect(inputs({ ...own, port_context: { runId: 'r_1' } })).toEqual(own)
  })

  test('a value whose type is invalid at its place in the body becomes an input', () => {
    const own = { entity: 7, trigger: 'nightly', action: ['a'], port_payload: 'text' }
    expect(inputs({ run: { id: 'r_1' }, inputs: { v: 1 }, ...own })).toEqual({ v: 1, ...own })
    const odd = { status: 5, trigger: true, port_context: 'x' }
    const body = { ...odd, context: { blueprint: {} }, payload: { properties: {}, entity: 1 } }
    expect(inputs(body)).toEqual({ ...odd, blueprint: {}, entity: 1 })
  })

  test('a port_payload inside a port_payload becomes an input and is not read', () => {
    const inner = { run: { id: 'r_2' }, inputs: { deeper: true }, entity: { identifier: 'x' } }
    const own = { port_payload: inner }
    const body = { port_payload: { run: { id: 'r_1' }, inputs: { v: 1 }, ...own } }
    expect(readInvocation(body)).toMatchObject({ runId: 'r_1', entity: null, inputs: { v: 1, ...own } })
    expect(inputs({ port_payload: own })).toEqual(own)
  })

  test('if the inputs of a context are not an object, they become the single input "inputs"', () => {
    for (const value of ['{"v":1}', ['a'], 7, false, '']) {
      expect(inputs({ run: { id: 'r_1' }, inputs: value })).toEqual({ inputs: value })
    }
    expect(inputs({ run: { id: 'r_1' }, inputs: null })).toEqual({})
  })

  test("a string action and a string blueprint are used if Port's own values are missing", () => {
    const body = { run: { id: 'r_1' }, inputs: {}, action: 'deploy', blueprint: 'service' }
    expect(readInvocation(body)).toMatchObject({ action: 'deploy', blueprint: 'service' })
    const action = { identifier: 'restart', blueprint: 'vm' }
    const expected = { action: 'restart', blueprint: 'vm', inputs: { blueprint: 'service' } }
    expect(readInvocation({ ...body, action })).toMatchObject(expected)
    const legacy = { context: { runId: 'r_1' }, payload: { properties: {} }, blueprint: 'service' }
    expect(readInvocation(legacy)).toMatchObject({ blueprint: 'service' })
  })

  test('any key that is added to any body that Port sends becomes an input', () => {
    // In a node, only the body in the configuration is user-defined.
    const names = fixtureNames.filter(name => name !== 'node-run-body-agent')
    const places = ['', 'context', 'payload', 'port_context']
    const own = fc.tuple(fc.constantFrom(...places), fc.jsonValue())
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.array(own, { maxLength: 6 }), (name, given) => {
        const body = sent(name)
        const expected: JsonObject = {}
        given.forEach(([place, value], i) => {
          const target = place === '' ? body : body[place]
          // A change's context belongs to the event.
          if (!isObject(target) || (place === 'context' && 'diff' in body)) return
          target[`own_${i}`] = value as Json
          expected[`own_${i}`] = value as Json
        })
        const read = inputs(body)
        expect({ ...object(read.payload), ...object(read.context), ...read }).toMatchObject(expected)
      }),
      { numRuns: 1000 },
    )
  })

  test('__proto__ is handled like any other key in every shape of body', () => {
    for (const text of [
      '{"run":{"id":"r_1"},"inputs":{"a":1},"__proto__":{"x":1}}',
      '{"context":{"runId":"r_1","__proto__":{"x":1}},"payload":{"properties":{"a":1}}}',
      '{"resourceType":"entity","diff":{},"a":1,"__proto__":{"x":1}}',
      '{"port_context":{"runId":"r_1","__proto__":{"x":1}},"a":1}',
      '{"context":{"runId":"r_1"},"payload":{"action":{"invocationMethod":{}}},"a":1,"__proto__":{"x":1}}',
    ]) {
      const read = inputs(JSON.parse(text))
      expect(Object.keys(read).sort(), text).toEqual(['__proto__', 'a'])
      expect(Object.getPrototypeOf(read)).toBe(Object.prototype)
    }
  })
})

describe('an event that an automation spreads into its body', () => {
  const { port_context: _, environment: __, ...event } = sent('automation-event-spread')

  test.each([
    { port_context: { runId: 'r_1' } },
    { run: { id: 'r_1' } },
    { port_payload: { run: { id: 'r_1' } } },
    ...['runId', 'run_id', 'RUN_ID', 'port_run_id'].map(name => ({ [name]: 'r_1' })),
  ])('belongs to the run in its own keys %j, not to the run that the event describes', own => {
    expect(readInvocation({ ...event, ...own })).toMatchObject({ runId: 'r_1', kind: 'action_run' })
  })

  test('is read as the event, and the other keys of the body become inputs', () => {
    const read = readInvocation(sent('automation-event-spread'))
    const trigger = { by: { user: { email: 'jane.doe@example.com', name: 'Jane Doe' } } }
    expect(read).toMatchObject({ runId: 'r_au3aJdlOHUO3d99n', event: { ...event, trigger } })
    expect(Object.keys(read.event as object)).toEqual(Object.keys(event))
    expect(read.inputs).toEqual({ environment: 'production' })
  })

  test('has a run only if the body has its own run id or the header has a run id', () => {
    expect(readInvocation(event)).toMatchObject({ runId: null, kind: 'none' })
    expect(readInvocation(event, 'r_1')).toMatchObject({ runId: 'r_1', runIdFrom: 'header' })
  })

  test('gets the blueprint from the same place as other events', () => {
    const body = { resourceType: 'entity', diff: {}, context: { blueprintIdentifier: 'service' } }
    expect(readInvocation(body).blueprint).toBe('service')
  })
})

describe('a flat body', () => {
  const action = { identifier: 'deploy', blueprint: 'service', encryptedProperties: ['token'] }

  test('gets blueprint and secret inputs from its own action or from the action in port_context', () => {
    for (const own of [{ action }, { port_context: { runId: 'r_1', action } }]) {
      expect(readInvocation({ token: 'AAAA', ...own })).toMatchObject({
        ...{ action: 'deploy', blueprint: 'service', encrypted: ['token'], inputs: { token: 'AAAA' } },
      })
    }
  })

  test('gets the user from the trigger in port_context', () => {
    const trigger = { by: { user: { email: 'a@b.c', phoneNumber: '0909' } }, operation: 'CREATE', at: 'now' }
    expect(readInvocation({ v: 1, port_context: { runId: 'r_1', trigger } })).toMatchObject({
      operation: 'CREATE',
      trigger: { by: { email: 'a@b.c', name: null }, origin: null, at: 'now' },
      inputs: { v: 1 },
    })
  })

  test('has no action if the input named "action" cannot be an action', () => {
    for (const own of ['x'.repeat(101), 'please restart it', '', 'a\nb', 7, null, ['a'], { kind: 'x' }]) {
      const read = readInvocation({ action: own, port_context: { runId: 'r_1' } })
      expect(read).toMatchObject({ action: null, inputs: { action: own } })
    }
    const long = { identifier: 'x'.repeat(101) }
    expect(readInvocation({ action: long }).action).toBeNull()
    expect(readInvocation({ v: 1, port_context: { action: long } }).action).toBeNull()
    expect(readInvocation({ action: 'x'.repeat(100) }).action).toBe('x'.repeat(100))
  })

  test("keeps only the user's name and email, even if the trigger is deeply nested", () => {
    const user = { email: 'a@b.c', firstName: 'A', phoneNumber: '0909', picture: 'https://p' }
    const trigger = { by: { userId: 'u', user }, origin: 'UI' }
    const cleaned = { by: { userId: 'u', user: { email: 'a@b.c', name: 'A' } }, origin: 'UI' }
    const run = { id: 'r_1' }
    const event = { diff: {}, trigger: cleaned }
    expect(inputs({ run, event: { diff: {}, trigger } })).toEqual({ run, event })
    for (const body of [
      { all: { trigger }, port_context: { runId: 'r_1' } },
      { list: [{ trigger }] },
      { context: { runId: 'wfnr_1' }, payload: { trigger } },
      { run, inputs: {}, own: { trigger } },
      JSON.parse(`{ "own": { "__proto__": ${JSON.stringify({ trigger })}, "a": 1 } }`),
    ]) {
      const read = JSON.stringify(readInvocation(body))
      expect(read).not.toContain('0909')
      expect(read).toContain(JSON.stringify(cleaned))
    }
  })

  test('keeps values that only resemble a user', () => {
    const own = { trigger: { by: 'me' }, user: { phoneNumber: '0909' }, event: { by: { user: { a: 1 } } } }
    expect(inputs(own)).toEqual(own)
  })
})

test('visits each key of a body with many keys only a few times', () => {
  const COUNT = 6_000
  const many = (prefix: string) =>
    Object.fromEntries(Array.from({ length: COUNT / 3 }, (_, i) => [`${prefix}${i}`, 'x']))
  let visits = 0
  const counted = <T>(value: T): T =>
    typeof value !== 'object' || value === null
      ? value
      : new Proxy(value, {
          get(target, name, receiver) {
            visits++
            return counted(Reflect.get(target, name, receiver))
          },
          ownKeys(target) {
            const keys = Reflect.ownKeys(target)
            visits += keys.length
            return keys
          },
        })
  const context = { runId: 'r_1' }
  const spread = {
    port_payload: { ...many('a'), context: { ...context, ...many('b') } },
    port_context: { ...context, ...many('c') },
  }
  const bodies = [{ resourceType: 'entity', diff: {}, ...many('a'), ...many('b'), ...many('c') }, spread]
  for (const body of bodies) {
    visits = 0
    expect(Object.keys(readInvocation(counted(body)).inputs).length).toBeGreaterThanOrEqual(COUNT - 1)
    expect(visits / COUNT).toBeLessThan(6)
  }
})

test.each<JsonObject>([
  { port_context: { runId: 'r_1' } },
  { port_context: { context: { runId: 'r_1' } } },
  { port_payload: { context: { runId: 'r_1' } } },
  { port_payload: { run_id: 'r_1' } },
  { port_context: { requestedBy: 'ada' } },
])('reads the form inputs from "inputs" in a full context that also has the guide keys %j', guide => {
  const body = { run: { id: 'r_1' }, action: { identifier: 'deploy' }, inputs: { service: 'shop' }, ...guide }
  expect(readInvocation(body)).toMatchObject({ runId: 'r_1', action: 'deploy', inputs: { service: 'shop' } })
  // A key that names another run becomes an input.
  const run = { id: 'r_2' }
  expect(readInvocation({ ...body, run, port_context: { runId: 'r_1' } }).inputs).toMatchObject({ run })
})
