import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readInvocation } from '../port/invocation/invocation.ts'
import { isObject, type Json, type JsonObject, runKind } from '../port/types.ts'
import { fixtureNames, readFixture } from './support/fixture.ts'

const sent = (name: string) => JSON.parse(Buffer.from(readFixture(name).body).toString())
/** Reads a fixture like the relay does: its body and its RUN_ID header. */
const read = (name: string) => readInvocation(sent(name), readFixture(name).headers.RUN_ID)
const object = (value: unknown): JsonObject => (isObject(value) ? value : {})

const JANE = { email: 'jane.doe@example.com', name: 'Jane Doe' }
const AT = '2024-06-09T12:28:18.663Z'
const BY_JANE = { by: JANE, origin: 'UI', at: AT }
const NOTHING = {
  ...{ action: null, operation: null, blueprint: null, entity: null, encrypted: [] },
  ...{ event: null, trigger: null, github: null },
}
const NO_RUN = { ...NOTHING, runId: null, runIdFrom: null, kind: 'none' }
const ACTION_RUN = { ...NOTHING, runIdFrom: 'body', kind: 'action_run' }
const CREATED = { ...ACTION_RUN, runId: 'r_Q0YotCZMKxDLdlaU', operation: 'CREATE', blueprint: 'service' }
const SECRETS = ['api_key', 'db_creds']
const FORM = { reason: 'rollback', version: 'v1.2.3', approve: true }
const { port_context, ...uiInputs } = sent('ui-default-create')

/** Bodies that Port sends, each with everything that the relay reads. */
const WHOLE: Record<string, object> = {
  'context-create': {
    ...{ ...CREATED, action: 'service_scaffold', inputs: sent('context-create').inputs, encrypted: SECRETS },
    trigger: BY_JANE,
  },
  'context-day2': {
    ...{ ...ACTION_RUN, runId: 'r_HardNzG6kzc9vWOQ', action: 'service_restart', operation: 'DAY-2' },
    ...{ blueprint: 'service', entity: sent('context-day2').entity, inputs: FORM, trigger: BY_JANE },
  },
  'legacy-create': {
    ...{ ...ACTION_RUN, runId: 'run_q2mGf9ZYkFRnZJjB', action: 'create_vm', operation: 'CREATE' },
    ...{ blueprint: 'vm', inputs: { cpu: 2, memory: 4, storage: 50, region: 'eu-west-1' } },
    trigger: {
      by: { email: 'test@test.com', name: 'test test' },
      origin: 'API',
      at: '2022-07-14T11:38:10.629Z',
    },
  },
  // A v2 body in the shape of the legacy body, from an example in Port's documentation.
  'legacy-imitated-create': {
    ...{ ...CREATED, action: 'scaffold', encrypted: SECRETS, trigger: BY_JANE },
    inputs: sent('legacy-imitated-create').payload.properties,
  },
  'ui-default-create': {
    ...{ ...ACTION_RUN, runId: 'r_Q0YotCZMKxDLdlaU', forWorkflow: { port_context }, inputs: uiInputs },
  },
  'flat-run-id-in-header': {
    ...{ ...ACTION_RUN, runId: 'r_Q0YotCZMKxDLdlaU', runIdFrom: 'header' },
    inputs: { property1: 'payments-api', property2: 3 },
  },
  'flat-no-run-id': { ...NO_RUN, inputs: { version: 'v1.2.3', service: 'example-service-identifier' } },
  'automation-entity-updated': {
    ...{ ...ACTION_RUN, runId: 'r_k86OUzq80jRlxFV0', action: 'automation', blueprint: 'service', inputs: {} },
    event: sent('automation-entity-updated').event,
    trigger: {
      by: { email: 'example-user@test.com', name: 'SomeFirstName SomeLastName' },
      ...{ origin: 'AUTOMATION', at: AT },
    },
  },
  'change-log-entity': {
    ...{
      ...NO_RUN,
      action: 'UPDATE',
      blueprint: 'vm',
      entity: { identifier: 'storage-example' },
      inputs: {},
    },
    event: sent('change-log-entity'),
    trigger: { by: null, origin: 'API', at: '2022-07-15T16:44:56.288Z' },
  },
}
/** Other bodies that Port sends, each with a part of what the relay reads. */
const PART: Record<string, object> = {
  'context-create': {
    inputs: {
      ...{ service_name: 'payments-api', replicas: 3, cpu: 0.5, dry_run: false, tags: ['a', 'b'] },
      ...{ config: { nested: { k: 'v' } }, notes: 'line 1\nline 2 "quoted" — café ✅ 🚀' },
      target: { identifier: 'example-service-identifier', blueprint: 'service' },
    },
  },
  'legacy-imitated-delete': {
    ...{ runId: 'r_zV9kQ2mT7bLx1WcD', operation: 'DELETE' },
    entity: sent('legacy-imitated-delete').payload.entity,
  },
  'ui-default-snake-case': {
    ...{ runId: 'r_HardNzG6kzc9vWOQ', runIdFrom: 'body', action: null, blueprint: 'service' },
    ...{
      entity: sent('ui-default-snake-case').port_context.entity,
      inputs: { action: 'service_restart', ...FORM },
    },
  },
  'node-run': {
    ...{ runId: 'wfnr_Zy98Xw76Vu54Ts32', runIdFrom: 'body', kind: 'node_run' },
    ...{ workflowRunId: 'wfr_Ab12Cd34Ef56Gh78', inputs: { service: 'payments-api', environment: 'staging' } },
  },
  'node-run-body-agent': {
    ...{ runId: 'wfnr_Zy98Xw76Vu54Ts32', kind: 'node_run' },
    inputs: { service: 'payments-api', replicas: 3 },
  },
}
test.each(Object.entries(WHOLE))('reads everything in the webhook %s', (name, expected) => {
  expect(read(name)).toEqual(expected)
})
test.each(Object.entries(PART))('reads a part of the webhook %s', (name, expected) => {
  expect(read(name)).toMatchObject(expected)
})

type Row = [
  what: string,
  body: unknown,
  expected: { inputs?: unknown; [name: string]: unknown },
  header?: string,
]

const RUN = { run: { id: 'r_1' } }
const OF_R1 = { runId: 'r_1' }
/** Port's own context. The run in it isn't the invoked run. */
const OWN = {
  port_context: { runId: 'r_2', trigger: { by: { user: { picture: 'p' } } } },
  port_payload: '{"a": 1}',
}
const DEPLOY = { action: 'deploy', blueprint: 'service' }
const timer = {
  ...{ context: { blueprint: 'lease', entity: 'shop-preview' }, action: 'TIMER_EXPIRED' },
  ...{ trigger: { at: '2022-12-01T16:50:00+02:00', by: { byPort: true } }, resourceType: 'entity' },
}
const unknown = { deploy: { what: ['a'] }, run: 'fast', context: 'prod', trigger: 'me', entity: null }
const own = { environment: 'production', config: { a: [1] } }
const invalid = { entity: 7, trigger: 'nightly', action: ['a'], port_payload: 'text' }
const action = { identifier: 'deploy', blueprint: 'service', encryptedProperties: ['token'] }
const secret = { ...DEPLOY, encrypted: ['token'], inputs: expect.objectContaining({ token: 'AAAA' }) }
const trigger = { by: { user: { email: 'a@b.c', phoneNumber: '0909' } }, operation: 'CREATE', at: 'now' }
const GITHUB = { repository: 'acme/shop', event_type: 'deploy' }
const OWN_RUN = { runId: 'r_own' }
const NAMED_AS_CONTEXT = {
  ...{ run: { id: 'r_other' }, action: 'drop_database', version: '1.4.2' },
  github: { repository: 'acme/other', event_type: 'drop_database' },
}
/** Columns: the title, the body, the expected part of the invocation, and the header RUN_ID. */
const BODIES: Row[] = [
  [
    'an expired timer is a change log',
    timer,
    {
      ...{ kind: 'none', action: 'TIMER_EXPIRED', inputs: {}, event: timer },
      ...{ blueprint: 'lease', entity: { identifier: 'shop-preview' } },
    },
  ],
  ['the keys of an unknown shape are inputs', unknown, { ...NO_RUN, inputs: unknown }],
  ...[[1, { a: 2 }], [], 'text', 7, true, null].map(
    (body): Row => [
      ...([`${JSON.stringify(body)} is the input "body"`, body, { kind: 'none', inputs: { body } }] as const),
    ],
  ),
  ['the run id of a list is in the header', [], { ...OF_R1, runIdFrom: 'header' }, 'r_1'],
  [
    'custom keys are inputs, but form inputs take precedence',
    {
      ...sent('context-day2'),
      ...own,
      version: 'own',
      port_context: { runId: 'r_HardNzG6kzc9vWOQ', note: 'mine' },
    },
    { inputs: { ...FORM, ...own, note: 'mine' } },
  ],
  [
    "keys in port_context and in a run's context are inputs, but top-level keys take precedence",
    {
      ...{
        version: '1',
        context: { runId: 'r_1', nodeRunId: 'wfnr_1', workflowRunId: 'wfr_1', region: 'eu' },
      },
      port_context: { ...OF_R1, entity: 'shop', note: 'mine', version: '0', context: { ...OF_R1, deep: 1 } },
    },
    { inputs: { version: '1', note: 'mine', deep: 1, region: 'eu' } },
  ],
  ...[{ nodeRunId: 'wfnr_1' }, { runId: 'wfnr_1' }].map(
    (context): Row => [
      `the payload of a node with ${JSON.stringify(context)} is never read as a legacy body`,
      { context, payload: { service: 'shop', properties: { a: 1 } }, other: 1 },
      { runId: 'wfnr_1', kind: 'node_run', inputs: { service: 'shop', properties: { a: 1 }, other: 1 } },
    ],
  ),
  [
    'the ID of a workflow run is read from the body that generate writes',
    { run: { id: 'wfnr_1' }, inputs: { v: 1 }, workflowRun: { identifier: 'wfr_1' } },
    { runId: 'wfnr_1', workflowRunId: 'wfr_1', inputs: { v: 1 } },
  ],
  [
    'values of a wrong type are inputs',
    { ...RUN, inputs: { v: 1 }, ...invalid },
    { inputs: { v: 1, ...invalid } },
  ],
  ...['{"v":1}', ['a'], 7, false, ''].map(
    (inputs): Row => [
      ...([
        `the inputs ${inputs} are the input "inputs"`,
        { ...RUN, inputs },
        { inputs: { inputs } },
      ] as const),
    ],
  ),
  ['null inputs are no inputs', { ...RUN, inputs: null }, { inputs: {} }],
  [
    "a part of the context with only the action and its inputs: the inputs are the action's",
    { action: { identifier: 'deploy', encryptedProperties: ['key'] }, inputs: { key: 'x' } },
    { ...OF_R1, action: 'deploy', inputs: { key: 'x' }, encrypted: ['key'] },
    'r_1',
  ],
  ['secret inputs of its own action', { token: 'AAAA', action }, secret],
  [
    'secret inputs of the action in port_context',
    { token: 'AAAA', port_context: { ...OF_R1, action } },
    secret,
  ],
  [
    'the user from the trigger in port_context',
    { v: 1, port_context: { ...OF_R1, trigger } },
    {
      operation: 'CREATE',
      trigger: { by: { email: 'a@b.c', name: null }, origin: null, at: 'now' },
      inputs: { v: 1 },
    },
  ],
  ...['x'.repeat(101), 'please restart it', 'a\nb', 7, { kind: 'x' }].map(
    (given): Row => [
      `no action from the input ${JSON.stringify(given)}`,
      { action: given, port_context: OF_R1 },
      { action: null, inputs: { action: given } },
    ],
  ),
  [
    'the target in the key "github", which is not an input',
    { version: 1, github: GITHUB },
    { github: { repository: 'acme/shop', eventType: 'deploy' }, inputs: { version: 1 } },
  ],
  // If every key of an object is an expression that is null, Port sends an empty object.
  ['an empty target', { github: {} }, { github: { ref: null, fault: null }, inputs: {} }],
  [
    'the target in a full context',
    { ...sent('context-day2'), github: { event_type: 'x' } },
    { ...read('context-day2'), github: { repository: null, eventType: 'x' } },
  ],
  ...['acme/shop', [], null, { repository: 'a/b', token: 'x' }, { org: 'acme' }].map(
    (github): Row => [
      ...([
        `no target from ${JSON.stringify(github)}`,
        { github },
        { github: null, inputs: { github } },
      ] as const),
    ],
  ),
  ...[
    ...[{ port_context: OF_R1 }, { port_context: { context: OF_R1 } }, { port_payload: { context: OF_R1 } }],
    ...[{ port_payload: { run_id: 'r_1' } }, { port_context: { requestedBy: 'ada' } }],
  ].map(
    (guide): Row => [
      `the form inputs of a full context that also has the guide keys ${JSON.stringify(guide)}`,
      { ...RUN, action: { identifier: 'deploy' }, inputs: { service: 'shop' }, ...guide },
      { ...OF_R1, action: 'deploy', inputs: expect.objectContaining({ service: 'shop' }) },
    ],
  ),
  [
    "neither an input nor the run ID from Port's own context among the inputs",
    { run: { id: 'r_1' }, inputs: { service: 'shop', ...OWN } },
    { ...OF_R1, inputs: { service: 'shop' }, forWorkflow: OWN },
  ],
  [
    'a key that names another run is an input',
    { run: { id: 'r_2' }, inputs: { service: 'shop' }, port_context: OF_R1 },
    { inputs: { run: { id: 'r_2' }, inputs: { service: 'shop' } } },
  ],
  // Only the author of the body can set the target, in port_context. A user's input can't select a run or a target.
  ...[
    ...[
      { port_context: OWN_RUN },
      { port_context: OWN_RUN, inputs: {} },
      { port_context: { run_id: 'r_own' } },
    ],
    { port_payload: { run: { id: 'r_own' } } },
    { port_context: OWN_RUN, port_payload: { context: { runId: 'r_own' }, payload: { properties: {} } } },
    { port_context: OWN_RUN, resourceType: 'entity', diff: {}, status: 'SUCCESS' },
    { port_context: OWN_RUN, context: { runId: 'r_other' }, payload: { properties: {} } },
  ].map(
    (context): Row => [
      `no run, target, or event type from inputs at the top level next to ${JSON.stringify(context)}`,
      { ...NAMED_AS_CONTEXT, ...context },
      { runId: 'r_own', action: null, github: null },
    ],
  ),
  [
    'the target in port_context, and an input named github',
    { ...NAMED_AS_CONTEXT, port_context: { ...OWN_RUN, github: GITHUB } },
    { github: { repository: 'acme/shop', eventType: 'deploy' }, inputs: NAMED_AS_CONTEXT },
  ],
]
test.each(BODIES)('reads: %s', (_, body, { inputs, ...expected }, header) => {
  const found = readInvocation(body, header)
  expect(found).toMatchObject(expected)
  if (inputs) expect(found.inputs).toEqual(inputs)
})

const at = (path: string, id: unknown) =>
  path.split('.').reduceRight<unknown>((value, key) => ({ [key]: value }), id) as object
const IN_ORDER = [
  ...['port_context.runId', 'port_context.run_id', 'port_context.context.runId'],
  ...['context.runId', 'context.nodeRunId', 'port_payload.context.runId'],
  ...['port_payload.runId', 'port_payload.run_id', 'port_payload.run.id', 'run.id'],
  ...['runId', 'run_id', 'runID', 'RUN_ID', 'port_run_id', 'nodeRunId', 'workflowNodeRun.identifier'],
]
test.each(IN_ORDER.map((path, i) => [path, IN_ORDER.slice(i + 1)] as const))(
  'the run id in %s, if valid, takes precedence over less trusted places and the header',
  (path, lesser) => {
    const found = { runId: 'r_better', runIdFrom: 'body', kind: 'action_run' }
    for (const other of lesser) {
      const body = merge(at(other, 'r_lesser'), at(path, 'r_better'))
      expect(readInvocation(body, 'r_header'), other).toMatchObject(found)
    }
    expect(readInvocation(at(path, 'r_better'), 'r_header')).toMatchObject(found)
    const long = `r_${'x'.repeat(100)}`
    for (const id of ['', 'wfr_1', 'prod', 'r_', 'r_a b', 'r_1\n', 7, null, {}, ['r_1'], long])
      expect(readInvocation(at(path, id), 'r_header')).toMatchObject({
        runId: 'r_header',
        runIdFrom: 'header',
      })
  },
)

test('the run id is never read from an invalid header, or from deeper levels, where automations have ids of other runs', () => {
  const { run: _, ...withoutRun } = sent('automation-run-updated')
  expect(readInvocation(withoutRun).runId).toBeNull()
  for (const path of [
    ...['event.diff.after.id', 'event.run.id', 'diff.before.id', 'payload.run.id', 'inputs.runId'],
    ...['entity.properties.run_id', 'port_context.entity.runId', 'port_payload.event.run.id'],
    ...['context.context.runId', 'body.port_context.runId'],
  ])
    expect(readInvocation(at(path, 'r_other')).runId, path).toBeNull()
  for (const header of ['', 'null', '{{ .run.id }}', 'r_', 'wfr_1', 'r_1, r_2', null, undefined])
    expect(readInvocation({}, header)).toMatchObject({ runId: null, runIdFrom: null })
  for (const other of ['wfr_Ab12', 'R_1', 'xr_1', ' r_1', 'r-1', 'r_1/../x', 'r_1?x', 1, undefined])
    expect(runKind(other)).toBe('none')
})

test("if an automation spreads an event into its body, the run id is the body's own, and other keys are inputs", () => {
  const { port_context: _, environment: __, ...event } = sent('automation-event-spread')
  const whole = read('automation-event-spread')
  expect(whole).toMatchObject({ runId: 'r_au3aJdlOHUO3d99n', inputs: { environment: 'production' } })
  expect(whole.event).toMatchObject({ ...event, trigger: { by: { user: JANE } } })
  expect(readInvocation({ ...event, run: { id: 'r_1' } })).toMatchObject({ ...OF_R1, kind: 'action_run' })
  expect(readInvocation(event)).toMatchObject({ runId: null, kind: 'none' })
  expect(readInvocation(event, 'r_1')).toMatchObject({ ...OF_R1, runIdFrom: 'header' })
})

test('for every shape of body and at every depth, name and email are the only data of a user that are kept', () => {
  const hidden = ['phoneNumber', 'picture', '0909090909', 'gravatar', 'providers', '"status":"ACTIVE"']
  for (const name of fixtureNames)
    for (const word of hidden) expect(JSON.stringify(read(name)), `${name}: ${word}`).not.toContain(word)
  const user = { email: 'a@b.c', firstName: 'A', phoneNumber: '0909', picture: 'https://p' }
  const given = { by: { userId: 'u', user }, origin: 'UI' }
  const cleaned = { by: { userId: 'u', user: { email: 'a@b.c', name: 'A' } }, origin: 'UI' }
  const changed = { ...RUN, event: { diff: {}, trigger: given } }
  expect(readInvocation(changed).inputs).toEqual({ ...RUN, event: { diff: {}, trigger: cleaned } })
  for (const body of [
    { all: { trigger: given }, port_context: OF_R1 },
    { list: [{ trigger: given }] },
    { context: { runId: 'wfnr_1' }, payload: { trigger: given } },
    { ...RUN, inputs: {}, own: { trigger: given } },
    JSON.parse(`{ "own": { "__proto__": ${JSON.stringify({ trigger: given })}, "a": 1 } }`),
  ]) {
    const text = JSON.stringify(readInvocation(body))
    expect(text).not.toContain('0909')
    expect(text).toContain(JSON.stringify(cleaned))
  }
  const by = (user: unknown) => readInvocation({ ...RUN, inputs: {}, trigger: { by: { user } } }).trigger?.by
  expect(by({ email: 'a@b.c' })).toEqual({ email: 'a@b.c', name: null })
  expect(by({ lastName: 'Lovelace' })).toEqual({ email: null, name: 'Lovelace' })
  expect(by({ name: 'Ada' })).toEqual({ email: null, name: 'Ada' })
  for (const nobody of [{}, null, 'x', [], { email: '', firstName: 7 }]) expect(by(nobody)).toBeNull()
})

test('every key that is added to a body from Port becomes an input, even __proto__', () => {
  // In the body that Port's agent sends for a node, the author's part is `body` in the node's configuration.
  const names = fixtureNames.filter(name => name !== 'node-run-body-agent')
  const given = fc.tuple(fc.constantFrom('', 'context', 'payload', 'port_context'), fc.jsonValue())
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.array(given, { maxLength: 6 }), (name, values) => {
      const body = sent(name)
      const expected: JsonObject = {}
      values.forEach(([place, value], i) => {
        const target = place === '' ? body : body[place]
        // A change's context belongs to the event.
        if (!isObject(target) || (place === 'context' && 'diff' in body)) return
        target[`own_${i}`] = value as Json
        expected[`own_${i}`] = value as Json
      })
      const { inputs } = readInvocation(body)
      expect({ ...object(inputs.payload), ...object(inputs.context), ...inputs }).toMatchObject(expected)
    }),
    { numRuns: 1000 },
  )
  for (const text of [
    '{"run":{"id":"r_1"},"inputs":{"a":1},"__proto__":{"x":1}}',
    '{"context":{"runId":"r_1","__proto__":{"x":1}},"payload":{"properties":{"a":1}}}',
    '{"port_context":{"runId":"r_1","__proto__":{"x":1}},"a":1}',
  ]) {
    const { inputs } = readInvocation(JSON.parse(text))
    expect(Object.keys(inputs).sort(), text).toEqual(['__proto__', 'a'])
    expect(Object.getPrototypeOf(inputs)).toBe(Object.prototype)
  }
})

test('reads any JSON without an error, and the run id is valid or null', () => {
  const known = ['run', 'context', 'payload', 'port_context', 'port_payload', 'action', 'inputs', 'event']
    .concat(['trigger', 'entity', 'diff', 'resourceType', 'github', 'workflowNodeRun', 'id', 'by', 'user'])
    .concat(['runId', 'properties', 'identifier', '__proto__'])
  const { value } = fc.letrec(tie => ({
    value: fc.oneof({ maxDepth: 4 }, fc.jsonValue({ maxDepth: 1 }), fc.constant('r_1'), tie('object')),
    object: fc
      .array(fc.tuple(fc.constantFrom(...known), tie('value')), { maxLength: 6 })
      .map(entries => JSON.parse(`{${entries.map(([k, v]) => `"${k}":${JSON.stringify(v)}`).join(',')}}`)),
  }))
  fc.assert(
    fc.property(value, fc.option(fc.string()), (body, header) => {
      const found = readInvocation(body, header)
      expect(found.kind).toBe(found.runId === null ? 'none' : runKind(found.runId))
      expect(JSON.stringify(JSON.parse(JSON.stringify(found)))).toBe(JSON.stringify(found))
      expect(found.encrypted.every(name => typeof name === 'string')).toBe(true)
    }),
    { numRuns: 3000 },
  )
})

/**
 * Returns a Port action's body as Port's agent sends it. Translates the agent's `process_run` line by line.
 * https://github.com/port-labs/port-agent/blob/main/app/processors/polling/polling_to_webhook_processor.py
 */
function throughAgent(body: JsonObject, runId: string): JsonObject {
  const headers = { RUN_ID: runId }
  const invocationMethod = { type: 'WEBHOOK', url: 'https://relay.example.com/webhook', headers }
  const payload = object(body.payload)
  return {
    ...{ ...body, headers, context: { ...object(body.context), runId } },
    payload: { ...payload, action: { ...object(payload.action), invocationMethod } },
  }
}

test("a body that is sent through Port's agent is read like the original body", () => {
  // Omits bodies that the agent has already wrapped or never sends, and those with another run's id in their context.
  const others = /-agent$|^change-log|^node-run|^automation-event-spread$/
  for (const name of fixtureNames.filter(each => !others.test(each))) {
    const direct = readInvocation(sent(name), 'r_Header')
    const indirect = readInvocation(throughAgent(sent(name), direct.runId as string))
    expect(indirect, name).toEqual({ ...direct, runIdFrom: 'body' })
  }
  const names = ['version', 'action', 'inputs', 'event', 'trigger', 'entity', 'port_context', 'blueprint']
  const body = fc.dictionary(fc.constantFrom(...names, 'resourceType', 'diff'), fc.jsonValue())
  fc.assert(
    fc.property(body, given => {
      const found = readInvocation(throughAgent(given as JsonObject, 'r_1'))
      expect(found).toEqual({ ...readInvocation(given, 'r_1'), runIdFrom: 'body' })
    }),
    { numRuns: 1000 },
  )
})

test('a body from the agent belongs to the run that the agent names, and other bodies are not unwrapped', () => {
  const { port_context: _, ...event } = sent('automation-event-spread')
  for (const body of [event, { ...event, port_context: { entity: 'shop' } }])
    expect(readInvocation(throughAgent(body, 'r_au3aJdlOHUO3d99n'))).toMatchObject({
      ...{ runId: 'r_au3aJdlOHUO3d99n', event: { resourceType: 'run', diff: event.diff } },
      inputs: { environment: 'production' },
    })
  const invocationMethod = { type: 'WEBHOOK' }
  for (const body of [
    { headers: 1, context: { runId: 'wfr_1' }, payload: { action: { invocationMethod } } },
    { headers: 1, context: OF_R1, payload: { invocationMethod } },
  ])
    expect(readInvocation(body).inputs).toMatchObject({ headers: 1 })
  const node = (nodeConfig: unknown) => {
    const payload = { action: { invocationMethod } }
    return readInvocation({ headers: {}, payload, context: { runId: 'wfnr_1', nodeConfig } })
  }
  const expected = { github: { repository: null, eventType: 'x' }, inputs: { v: 1 } }
  expect(node({ body: { v: 1, github: { event_type: 'x' } } })).toMatchObject(expected)
  for (const body of [['a'], 'text', 0, false]) expect(node({ body }).inputs).toEqual({ body })
  for (const config of [{}, { body: null }, null, 'x'])
    expect(node(config)).toMatchObject({ runId: 'wfnr_1', kind: 'node_run', inputs: {} })
})

/** Merges both objects. The second takes precedence. */
function merge(a: unknown, b: unknown): unknown {
  if (!isObject(a) || !isObject(b)) return b
  const merged: JsonObject = { ...a }
  for (const [key, value] of Object.entries(b))
    merged[key] = key in a ? (merge(a[key], value) as Json) : value
  return merged
}
