import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readInvocation } from '../port/invocation/invocation.ts'
import { isObject, type Json, type JsonObject, runKind } from '../port/types.ts'
import { fixtureNames, readFixture } from './support/fixture.ts'

/** Reads a fixture like the relay does: its body and its RUN_ID header. */
function read(name: string) {
  const { headers, body } = readFixture(name)
  return readInvocation(JSON.parse(Buffer.from(body).toString()), headers.RUN_ID)
}
const sent = (name: string) => JSON.parse(Buffer.from(readFixture(name).body).toString())

const JANE = { email: 'jane.doe@example.com', name: 'Jane Doe' }
const AT = '2024-06-09T12:28:18.663Z'
const NOTHING = {
  ...{ action: null, operation: null, blueprint: null, entity: null, encrypted: [] },
  ...{ event: null, trigger: null, github: null },
}
const NO_RUN = { ...NOTHING, runId: null, runIdFrom: null, kind: 'none' }
const ACTION_RUN = { ...NOTHING, runIdFrom: 'body', kind: 'action_run' }

describe('each shape of body is read:', () => {
  test('the full context of a CREATE action, with the JSON type of every input and without an entity', () => {
    const { inputs } = sent('context-create')
    expect(read('context-create')).toEqual({
      ...ACTION_RUN,
      runId: 'r_Q0YotCZMKxDLdlaU',
      ...{ action: 'service_scaffold', operation: 'CREATE', blueprint: 'service' },
      inputs,
      encrypted: ['api_key', 'db_creds'],
      trigger: { by: JANE, origin: 'UI', at: AT },
    })
    expect(inputs).toMatchObject({
      ...{ service_name: 'payments-api', replicas: 3, cpu: 0.5, dry_run: false },
      ...{ tags: ['a', 'b'], config: { nested: { k: 'v' } } },
      notes: 'line 1\nline 2 "quoted" — café ✅ 🚀',
      target: { identifier: 'example-service-identifier', blueprint: 'service' },
    })
  })

  test('the full context of a DAY-2 action, including the whole entity', () => {
    expect(read('context-day2')).toEqual({
      ...ACTION_RUN,
      runId: 'r_HardNzG6kzc9vWOQ',
      ...{ action: 'service_restart', operation: 'DAY-2', blueprint: 'service' },
      entity: sent('context-day2').entity,
      inputs: { reason: 'rollback', version: 'v1.2.3', approve: true },
      trigger: { by: JANE, origin: 'UI', at: AT },
    })
  })

  test('the legacy body, with its properties as inputs and its action as a string', () => {
    expect(read('legacy-create')).toEqual({
      ...ACTION_RUN,
      runId: 'run_q2mGf9ZYkFRnZJjB',
      ...{ action: 'create_vm', operation: 'CREATE', blueprint: 'vm' },
      inputs: { cpu: 2, memory: 4, storage: 50, region: 'eu-west-1' },
      trigger: {
        by: { email: 'test@test.com', name: 'test test' },
        origin: 'API',
        at: '2022-07-14T11:38:10.629Z',
      },
    })
  })

  test('a v2 body in the shape of the legacy body, as in an example in the Port documentation', () => {
    expect(read('legacy-imitated-create')).toEqual({
      ...ACTION_RUN,
      runId: 'r_Q0YotCZMKxDLdlaU',
      ...{ action: 'scaffold', operation: 'CREATE', blueprint: 'service' },
      inputs: sent('legacy-imitated-create').payload.properties,
      encrypted: ['api_key', 'db_creds'],
      trigger: { by: JANE, origin: 'UI', at: AT },
    })
    expect(read('legacy-imitated-delete')).toMatchObject({
      runId: 'r_zV9kQ2mT7bLx1WcD',
      operation: 'DELETE',
      entity: sent('legacy-imitated-delete').payload.entity,
    })
  })

  test('a legacy body without an entity, with the entity identifier from its context', () => {
    expect(read('action-run-agent')).toMatchObject({
      ...{ runId: 'run_123', kind: 'action_run', action: 'deploy', blueprint: 'microservice' },
      ...{ entity: { identifier: 'entity_123' }, inputs: { environment: 'production' } },
    })
  })

  test("the default body of Port's UI: every top-level key except port_context is an input", () => {
    const { port_context, ...inputs } = sent('ui-default-create')
    expect(read('ui-default-create')).toEqual({
      ...ACTION_RUN,
      ...{ runId: 'r_Q0YotCZMKxDLdlaU', forWorkflow: { port_context }, inputs },
    })
    expect(read('ui-default-day2').inputs).toEqual({ reason: 'rollback', version: 'v1.2.3', approve: true })
  })

  test("the default body of Port's UI with a run_id and an entity: the run id, the entity, and the blueprint are read", () => {
    expect(read('ui-default-snake-case')).toMatchObject({
      ...{ runId: 'r_HardNzG6kzc9vWOQ', runIdFrom: 'body', action: null, blueprint: 'service' },
      entity: sent('ui-default-snake-case').port_context.entity,
      inputs: { action: 'service_restart', reason: 'rollback', version: 'v1.2.3', approve: true },
    })
  })

  test('a flat body whose run id is only in the header: every key is an input', () => {
    expect(read('flat-run-id-in-header')).toEqual({
      ...ACTION_RUN,
      ...{ runId: 'r_Q0YotCZMKxDLdlaU', runIdFrom: 'header' },
      inputs: { property1: 'payments-api', property2: 3 },
    })
  })

  test("a part of the context with only the action and its inputs: the inputs are the action's", () => {
    const body = { action: { identifier: 'deploy', encryptedProperties: ['key'] }, inputs: { key: 'x' } }
    expect(readInvocation(body, 'r_1')).toMatchObject({
      ...{ runId: 'r_1', action: 'deploy', inputs: { key: 'x' }, encrypted: ['key'] },
    })
  })

  test('a flat body without a run id: the kind is "none", so Port gets no updates', () => {
    expect(read('flat-no-run-id')).toEqual({
      ...NO_RUN,
      inputs: { version: 'v1.2.3', service: 'example-service-identifier' },
    })
  })

  test('the body of an automation: the run id is that of the automation, the change is the event, and there are no inputs', () => {
    const by = { email: 'example-user@test.com', name: 'SomeFirstName SomeLastName' }
    expect(read('automation-entity-updated')).toEqual({
      ...ACTION_RUN,
      runId: 'r_k86OUzq80jRlxFV0',
      ...{ action: 'automation', blueprint: 'service', inputs: {} },
      event: sent('automation-entity-updated').event,
      trigger: { by, origin: 'AUTOMATION', at: AT },
    })
    expect(read('automation-entity-created').event).toMatchObject({
      diff: { before: null, after: { identifier: 'example-service-identifier' } },
    })
  })

  test('the body of an expired timer, as a change log', () => {
    const body = {
      context: { blueprint: 'lease', entity: 'shop-preview' },
      action: 'TIMER_EXPIRED',
      trigger: { at: '2022-12-01T16:50:00+02:00', by: { byPort: true, orgId: 'org_1' }, origin: 'API' },
      resourceType: 'entity',
      status: 'SUCCESS',
    }
    expect(readInvocation(body)).toMatchObject({
      ...{ kind: 'none', action: 'TIMER_EXPIRED', blueprint: 'lease', inputs: {}, event: body },
      entity: { identifier: 'shop-preview' },
    })
  })

  test('a change log: the change is the event, and there is no run, even if the change describes a run', () => {
    expect(read('change-log-entity')).toEqual({
      ...NO_RUN,
      ...{ action: 'UPDATE', blueprint: 'vm', entity: { identifier: 'storage-example' }, inputs: {} },
      event: sent('change-log-entity'),
      trigger: { by: null, origin: 'API', at: '2022-07-15T16:44:56.288Z' },
    })
    expect(read('change-log-run')).toMatchObject({ runId: null, kind: 'none', action: 'Create' })
  })

  test("the body of a Port workflow's node, with the id of the node run and the custom keys", () => {
    expect(read('node-run')).toMatchObject({
      ...{ runId: 'wfnr_Zy98Xw76Vu54Ts32', runIdFrom: 'body', kind: 'node_run' },
      inputs: { service: 'payments-api', environment: 'staging' },
    })
    expect(read('node-run-agent')).toMatchObject({ runId: 'wfnr_abc123', kind: 'node_run', inputs: {} })
  })

  test('a body of an unknown shape: its keys are inputs', () => {
    const body = { deploy: { what: ['a'] }, run: 'fast', context: 'prod', trigger: 'me', entity: null }
    expect(readInvocation(body)).toEqual({ ...NO_RUN, inputs: body })
  })

  test('an array, a scalar, or null becomes the single input "body", and a missing body has no inputs', () => {
    for (const body of [[1, { a: 2 }], [], 'text', 7, true, null]) {
      expect(readInvocation(body)).toMatchObject({ inputs: { body }, kind: 'none' })
    }
    expect(readInvocation(undefined).inputs).toEqual({})
    expect(readInvocation([], 'r_1')).toMatchObject({ runId: 'r_1', runIdFrom: 'header' })
  })
})

describe('the run id', () => {
  const at = (path: string, id: string) =>
    path.split('.').reduceRight<unknown>((value, key) => ({ [key]: value }), id) as object
  const inOrder = [
    ...['port_context.runId', 'port_context.run_id', 'port_context.context.runId'],
    ...['context.runId', 'context.nodeRunId', 'port_payload.context.runId'],
    ...['port_payload.runId', 'port_payload.run_id', 'port_payload.run.id', 'run.id'],
    ...['runId', 'run_id', 'runID', 'RUN_ID', 'port_run_id', 'nodeRunId', 'workflowNodeRun.identifier'],
  ]

  test.each(inOrder.map((path, i) => [path, inOrder.slice(i + 1)] as const))(
    'is read from %s before less trusted places and the header, unless the value is not a run id',
    (path, lesser) => {
      const found = { runId: 'r_better', runIdFrom: 'body', kind: 'action_run' }
      for (const other of lesser) {
        const body = merge(at(other, 'r_lesser'), at(path, 'r_better'))
        expect(readInvocation(body, 'r_header'), other).toMatchObject(found)
      }
      expect(readInvocation(at(path, 'r_better'), 'r_header')).toMatchObject(found)
      const long = `r_${'x'.repeat(100)}`
      for (const id of ['', 'wfr_1', 'prod', 'r_', 'r_a b', 'r_1\n', 7, null, {}, ['r_1'], long]) {
        const body = at(path, id as string)
        expect(readInvocation(body, 'r_header')).toMatchObject({ runId: 'r_header', runIdFrom: 'header' })
      }
    },
  )

  test("is never read from deeper levels, because automations have other runs' ids there", () => {
    expect(read('automation-run-updated').runId).toBe('r_au3aJdlOHUO3d99n')
    const { run: _, ...withoutRun } = sent('automation-run-updated')
    expect(readInvocation(withoutRun).runId).toBeNull()
    const deeper = [
      ...['event.diff.after.id', 'event.run.id', 'diff.before.id', 'payload.run.id', 'inputs.runId'],
      ...['entity.properties.run_id', 'port_context.entity.runId', 'port_payload.event.run.id'],
      ...['context.context.runId', 'body.port_context.runId'],
    ]
    for (const path of deeper) {
      expect(readInvocation(at(path, 'r_other')).runId, path).toBeNull()
    }
  })

  test('is ignored in the header if it is not a run id', () => {
    for (const header of ['', 'null', '{{ .run.id }}', 'r_', 'wfr_1', 'r_1, r_2', null, undefined]) {
      expect(readInvocation({}, header)).toMatchObject({ runId: null, runIdFrom: null })
    }
  })

  test('is recognized by its prefix, not by its length', () => {
    for (const id of ['r_1', 'r_Q0YotCZMKxDLdlaU', 'run_q2mGf9ZYkFRnZJjB'])
      expect(runKind(id)).toBe('action_run')
    expect(runKind('wfnr_Zy98Xw76Vu54Ts32')).toBe('node_run')
    for (const other of ['wfr_Ab12', 'R_1', 'xr_1', ' r_1', 'r-1', 'r_1/../x', 'r_1?x', 1, undefined]) {
      expect(runKind(other)).toBe('none')
    }
  })
})

describe('personal data and unusual names:', () => {
  test('only the name and email of the user are kept, for every shape of body', () => {
    const hidden = ['phoneNumber', 'picture', '0909090909', 'gravatar', 'providers', '"status":"ACTIVE"']
    for (const name of fixtureNames) {
      const text = JSON.stringify(read(name))
      for (const word of hidden) expect(text, `${name}: ${word}`).not.toContain(word)
    }
  })

  test('a user without a name has only an email, and a user without name and email is null', () => {
    const by = (user: unknown) =>
      readInvocation({ run: { id: 'r_1' }, inputs: {}, trigger: { by: { user } } }).trigger?.by
    expect(by({ email: 'a@b.c' })).toEqual({ email: 'a@b.c', name: null })
    expect(by({ lastName: 'Lovelace' })).toEqual({ email: null, name: 'Lovelace' })
    expect(by({ name: 'Ada' })).toEqual({ email: null, name: 'Ada' })
    for (const nobody of [{}, null, 'x', [], { email: '', firstName: 7 }]) expect(by(nobody)).toBeNull()
  })

  test('names that contain control characters, or exceed the length of any name in Port, become null', () => {
    for (const identifier of ['a\nb', 'a\u0000', '\ud800', 'x'.repeat(501), '']) {
      const body = { run: { id: 'r_1' }, inputs: {}, action: { identifier, blueprint: identifier } }
      expect(readInvocation(body)).toMatchObject({ action: null, blueprint: null })
    }
  })
})

describe('the target in the signed body', () => {
  test('is read from the key "github", and this key does not become an input', () => {
    const github = { repository: 'acme/shop', event_type: 'deploy' }
    expect(readInvocation({ version: 1, github })).toMatchObject({
      github: { repository: 'acme/shop', eventType: 'deploy' },
      inputs: { version: 1 },
    })
    expect(readInvocation({ ...sent('context-day2'), github: { event_type: 'x' } })).toMatchObject({
      ...read('context-day2'),
      github: { repository: null, eventType: 'x' },
    })
  })

  test('is absent, and "github" becomes an input, if the key has any other value', () => {
    for (const github of ['acme/shop', [], null, { repository: 'a/b', token: 'x' }, { org: 'acme' }]) {
      expect(readInvocation({ github })).toMatchObject({ github: null, inputs: { github } })
    }
    // Port leaves an empty object if each of its keys is an expression that is null.
    expect(readInvocation({ github: {} })).toMatchObject({ github: { ref: null, fault: null }, inputs: {} })
  })
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
      const read = readInvocation(body, header)
      expect(read.kind).toBe(read.runId === null ? 'none' : runKind(read.runId))
      expect(JSON.stringify(JSON.parse(JSON.stringify(read)))).toBe(JSON.stringify(read))
      expect(read.encrypted.every(name => typeof name === 'string')).toBe(true)
    }),
    { numRuns: 3000 },
  )
})

/** Merges both objects. The second takes precedence. */
function merge(a: unknown, b: unknown): unknown {
  if (!isObject(a) || !isObject(b)) return b
  const merged: JsonObject = { ...a }
  for (const [key, value] of Object.entries(b))
    merged[key] = key in a ? (merge(a[key], value) as Json) : value
  return merged
}
