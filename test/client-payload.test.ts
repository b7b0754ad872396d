import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readInvocation } from '../port/invocation/invocation.ts'
import { packClientPayload, readClientPayload } from '../port/payload.ts'
import type { JsonObject } from '../port/types.ts'
import { openRouteSchemas } from '../simulator/route-schemas.ts'
import { fixtureNames, readFixture } from './support/fixture.ts'

/** The relay's limit, below GitHub's 65,535. */
const MAX_PAYLOAD_BYTES = 64_000
const OPTIONS = { delivery: 'd_1', relay: 'https://relay.acme.example' }
const pack = (inputs: JsonObject, more: object = {}, max?: number) => {
  const invocation = readInvocation({
    run: { id: 'r_1' },
    action: { identifier: 'deploy', blueprint: 'service', encryptedProperties: ['token'] },
    inputs,
    entity: { identifier: 'shop' },
    event: null,
    trigger: {
      by: { user: { email: 'a@b.c', firstName: 'A' } },
      origin: 'UI',
      at: 'now',
      operation: 'DAY-2',
    },
    ...more,
  })
  return packClientPayload(invocation, OPTIONS, max)
}
const bytes = (value: unknown) => Buffer.byteLength(JSON.stringify(value))

test.each(fixtureNames)(
  'the webhook %s becomes a payload that GitHub accepts and that parses to the same invocation',
  name => {
    const { headers, body } = readFixture(name)
    const invocation = readInvocation(JSON.parse(Buffer.from(body).toString()), headers.RUN_ID)
    const payload = packClientPayload(invocation, OPTIONS)
    expect(Object.keys(payload)).toEqual(['run_id', 'action', 'port'])
    const request = { event_type: 'deploy', client_payload: payload }
    const problems = openRouteSchemas('github').request('POST /repos/{owner}/{repo}/dispatches', request)
    expect(problems).toEqual([])
    expect(payload.port.truncated).toEqual([])
    expect(readClientPayload(JSON.parse(JSON.stringify(payload)))).toEqual(payload)
  },
)

describe('an item that does not fit', () => {
  test('is omitted and listed by name, and the largest items are omitted first', () => {
    const { port } = pack({ small: 'kept', large: 'x'.repeat(40_000), larger: 'y'.repeat(50_000) })
    expect(port.inputs).toEqual({ small: 'kept', large: 'x'.repeat(40_000) })
    expect(port.truncated).toEqual(['inputs.larger'])
  })

  test('is omitted together with all other inputs if the list of omitted names would not fit', () => {
    const payload = pack(Object.fromEntries(Array.from({ length: 13_000 }, (_, i) => [i, i])))
    expect(payload.port).toMatchObject({ inputs: {}, encrypted: [], truncated: ['inputs', 'encrypted'] })
    expect(bytes(payload)).toBeLessThanOrEqual(MAX_PAYLOAD_BYTES)
  })

  test('exceeds the limit by at least one byte, and an item that fits exactly is kept', () => {
    const room = MAX_PAYLOAD_BYTES - bytes(pack({ text: '' }))
    expect(pack({ text: 'x'.repeat(room) }).port.truncated).toEqual([])
    expect(pack({ text: 'x'.repeat(room + 1) }).port.truncated).toEqual(['inputs.text'])
  })

  test('is always listed, and nothing else is lost, regardless of inputs and limit', () => {
    const text = fc.string({ maxLength: 400, unit: 'grapheme' })
    const value = fc.oneof(text, fc.integer(), fc.array(fc.string()))
    const inputs = fc.dictionary(fc.string({ minLength: 1, maxLength: 30 }), value, { maxKeys: 60 })
    fc.assert(
      fc.property(inputs, fc.integer({ min: 600, max: 6000 }), (given, max) => {
        const payload = pack(given as JsonObject, { event: { given: Object.keys(given) } }, max)
        expect(bytes(payload)).toBeLessThanOrEqual(max)
        const { truncated } = payload.port
        for (const [name, sent] of Object.entries(given)) {
          const gone = truncated.includes('inputs') || truncated.includes(`inputs.${name}`)
          expect(Object.hasOwn(payload.port.inputs, name)).toBe(!gone)
          if (!gone) expect(payload.port.inputs[name]).toEqual(sent)
        }
        expect(payload.port.event === null).toBe(truncated.includes('event'))
        expect(payload.port.entity === null).toBe(truncated.includes('entity'))
        expect(readClientPayload(JSON.parse(JSON.stringify(payload)))).toEqual(payload)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('reading a payload', () => {
  const payload = JSON.parse(JSON.stringify(pack({ version: '1' })))

  test('returns null for everything except a payload from the relay', () => {
    const { port } = payload
    const ports = [null, { run_id: 'r_1' }, { ...port, delivery: 7 }, { ...port, inputs: [] }]
    for (const other of [null, 'text', [], {}, { run_id: 'r_1' }, ...ports.map(port => ({ port }))])
      expect(readClientPayload(other)).toBeNull()
  })

  test('refuses an unknown version and states what to update', () => {
    for (const version of [0, 2, '1', null]) {
      expect(() => readClientPayload({ ...payload, port: { ...payload.port, version } })).toThrow(
        `This payload has version ${JSON.stringify(version)}, but this action supports only version 1: update the action`,
      )
    }
  })

  test('ignores unknown fields and fields of the wrong type', () => {
    const odd = { version: 1, delivery: 'd', inputs: {}, kind: 'other', unknown: 1, entity: [] }
    const port = { ...odd, encrypted: ['a', 1], truncated: 'x' }
    expect(readClientPayload({ run_id: 7, action: '', port })).toEqual({
      run_id: null,
      action: null,
      port: {
        ...{ version: 1, delivery: 'd', kind: 'none', operation: null, blueprint: null, entity: null },
        ...{ inputs: {}, encrypted: ['a'], event: null, trigger: null, relay: null, truncated: [] },
      },
    })
  })
})
