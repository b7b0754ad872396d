import { expect, test } from 'vitest'
import type { JsonObject } from '../../port/types.ts'
import { encryptWith } from './encrypt.ts'
import { openRunner } from './open-runner.ts'
import { bodyFor, payloadFor, type System, startSystem } from './play.ts'

const INPUTS: JsonObject = {
  first: 'small',
  plan: 'P'.repeat(20_000),
  'list of hosts': Array.from({ length: 2_000 }, (_, index) => `host-${index}`),
  last: { ünïcode: '✓'.repeat(20_000) },
  zero: 0,
}
const EVENT = { diff: { before: null, after: { description: 'd'.repeat(30_000) } } }
const ID = 'r_Q0YotCZMKxDLdlaU'

/** Runs main with this payload. Returns its output lines and its outputs. */
async function runMain(system: System, payload: unknown, inputs: Record<string, string> = {}) {
  const job = openRunner({ ...system, payload }, { 'github-token': '', ...inputs })
  const lines = await job.run('main')
  return { lines, outputs: job.outputs() }
}

test.each<[string, JsonObject]>([
  ['as an object', { body: bodyFor(ID, INPUTS, { event: EVENT }) }],
  ['as text', { body: JSON.stringify(bodyFor(ID, INPUTS, { event: EVENT })) }],
])(
  "inputs omitted from the payload are fetched from the Port run's body (%s), and the outputs are complete",
  async (_, payload) => {
    const system = await startSystem()
    const whole = payloadFor(ID, INPUTS, { event: EVENT, maxBytes: Number.POSITIVE_INFINITY })
    const cut = payloadFor(ID, INPUTS, { event: EVENT })
    expect(cut.port).toMatchObject({ truncated: ['inputs.last', 'event'] })
    expect(JSON.stringify(cut).length).toBeLessThan(64_000)
    Object.assign(system.run.payload, payload)
    const { lines, outputs } = await runMain(system, cut)
    expect(lines).toEqual([])
    expect(outputs).toEqual((await runMain(await startSystem(), whole, { report: 'off' })).outputs)
    expect(outputs.payload).toBe(JSON.stringify(whole))
    // The same response shows which workflow run owns the Port run.
    expect(system.port.requests.filter(({ method }) => method === 'GET')).toHaveLength(1)
  },
)

test("an input that the Port run's body does not contain is read from the run's properties", async () => {
  const system = await startSystem()
  system.run.properties = INPUTS
  system.run.payload.body = { something: 'else' }
  const { outputs } = await runMain(system, payloadFor(ID, INPUTS, { maxBytes: 30_000 }))
  expect(outputs.last).toBe(JSON.stringify(INPUTS.last))
  expect(outputs).not.toHaveProperty('something')
})

const TOO_LARGE = '::error::The payload was too large for GitHub, so it does not contain "inputs.last"'

test.each<[string, string, Record<string, string>, string]>([
  [
    'without credentials',
    ID,
    { 'port-client-id': '', 'port-client-secret': '' },
    `. Give the job "permissions: id-token: write", so that the rest is fetched from the relay (if its RELAY_PUBLIC_URL is set), or set the inputs port-client-id and port-client-secret, so that it is fetched from Port's run ${ID}.`,
  ],
  [
    'for a node run, because node runs cannot be read',
    'wfnr_Zy98Xw76Vu54Ts32',
    {},
    ', and Port returns the rest only for action runs. Give the job',
  ],
  ['if Port does not return the run', 'r_unknown', {}, ', and the rest could not be fetched: Port ('],
])(
  'an incomplete payload fails the job %s; the error states what is missing and what to do',
  async (_, id, inputs, reason) => {
    const system = await startSystem()
    system.port.createNodeRun({ id: 'wfnr_Zy98Xw76Vu54Ts32' })
    const { lines } = await runMain(system, payloadFor(id, INPUTS), inputs)
    expect(lines[0]).toContain(TOO_LARGE + reason)
    expect(process.exitCode).toBe(1)
  },
)

test('fetches thousands of inputs that were omitted together', async () => {
  const system = await startSystem()
  const all = Array.from({ length: 4_000 }, (_, index) => [`input_${index}`, `value ${index}`])
  const inputs = Object.fromEntries(all)
  const sealed = { ...inputs, input_7: encryptWith(system.port.clientSecret, 'clear text') }
  system.run.payload.body = bodyFor(ID, sealed, { encrypted: ['input_7'] })
  const payload = payloadFor(ID, sealed, { encrypted: ['input_7'] })
  expect(payload.port).toMatchObject({ truncated: ['entity', 'inputs', 'encrypted'] })
  const { outputs } = await runMain(system, payload)
  expect(JSON.parse(outputs.inputs!)).toEqual({ ...inputs, input_7: 'clear text' })
  expect(outputs.input_3999).toBe('value 3999')
})
