import { expect, test } from 'vitest'
import type { JsonObject } from '../../port/types.ts'
import { annotations, bodyFor, openStage, ownSteps, payloadFor, RUN_PATH } from './play.ts'
import { transcript } from './transcript.ts'

const INPUTS: JsonObject = {
  first: 'small',
  plan: 'P'.repeat(20_000),
  'list of hosts': Array.from({ length: 2_000 }, (_, index) => `host-${index}`),
  last: { ünïcode: '✓'.repeat(20_000) },
  zero: 0,
}
const EVENT = { diff: { before: null, after: { description: 'd'.repeat(30_000) } } }
const ID = 'r_Q0YotCZMKxDLdlaU'

test.each<[string, JsonObject]>([
  ['as an object', { body: bodyFor(ID, INPUTS, { event: EVENT }) }],
  ['as a text', { body: JSON.stringify(bodyFor(ID, INPUTS, { event: EVENT })) }],
])(
  "what did not fit into the payload is fetched from the body of Port's run (%s): the outputs are equal to the byte",
  async (_, payload) => {
    const stage = await openStage()
    const whole = payloadFor(ID, INPUTS, { event: EVENT, maxBytes: Number.POSITIVE_INFINITY })
    const cut = payloadFor(ID, INPUTS, { event: EVENT })
    expect(cut.port).toMatchObject({ truncated: ['inputs.last', 'event'] })
    expect(JSON.stringify(cut).length).toBeLessThan(64_000)
    Object.assign(stage.run.payload, payload)

    const played = await stage.play({ clientPayload: cut })
    await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/large-payload.yml')
    const { main } = ownSteps(played.jobs[0]!)
    const small = await (await openStage()).play({ clientPayload: whole, with: { report: 'off' } })
    expect(main.outputs).toEqual(ownSteps(small.jobs[0]!).main.outputs)
    expect(main.outputs.payload).toBe(JSON.stringify(whole))
  },
)

test('where the body does not hold an input, the properties of the run do', async () => {
  const stage = await openStage()
  stage.run.properties = INPUTS
  stage.run.payload.body = { something: 'else' }
  const { main } = ownSteps(
    (await stage.play({ clientPayload: payloadFor(ID, INPUTS, { maxBytes: 30_000 }) })).jobs[0]!,
  )
  expect(main.outputs.last).toBe(JSON.stringify(INPUTS.last))
  expect(main.outputs).not.toHaveProperty('something')
})

test('thousands of inputs, which went as one, come back as well', async () => {
  const stage = await openStage()
  const inputs = Object.fromEntries(
    Array.from({ length: 4_000 }, (_, index) => [`input_${index}`, `value ${index}`]),
  )
  stage.run.payload.body = bodyFor(ID, inputs, { encrypted: [] })
  const clientPayload = payloadFor(ID, inputs)
  expect(clientPayload.port).toMatchObject({ truncated: ['entity', 'inputs', 'encrypted'] })
  const { main } = ownSteps((await stage.play({ clientPayload })).jobs[0]!)
  expect(JSON.parse(main.outputs.inputs!)).toEqual(inputs)
  expect(main.outputs.input_3999).toBe('value 3999')
})

test('without credentials the job fails, and the error names what is missing and the settings', async () => {
  const stage = await openStage()
  const played = await stage.play({
    clientPayload: payloadFor(ID, INPUTS),
    vars: { PORT_API_URL: stage.port.url },
    secrets: {},
    with: { report: 'off' },
  })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/large-payload-no-credentials.yml')
})

test("a rest that Port's run does not hold fails the job, and Port is told why", async () => {
  const stage = await openStage()
  const played = await stage.play({ clientPayload: payloadFor(ID, INPUTS, { event: EVENT }) })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/large-payload-lost.yml')
  expect(stage.run.status).toBe('FAILURE')
})

test('a run of a node of a Port workflow cannot be asked, and the error says so', async () => {
  const { play, port } = await openStage()
  port.createNodeRun({ id: 'wfnr_Zy98Xw76Vu54Ts32' })
  const played = await play({ clientPayload: payloadFor('wfnr_Zy98Xw76Vu54Ts32', INPUTS) })
  expect(annotations(ownSteps(played.jobs[0]!).main)[0]).toContain(
    'only the run of an action in Port can be asked',
  )
  expect(port.nodeRun('wfnr_Zy98Xw76Vu54Ts32')).toMatchObject({ status: 'COMPLETED', result: 'FAILED' })
})

test('Port refusing to be read is part of the error', async () => {
  const { play, port } = await openStage()
  port.fail({
    match: ({ method, path }) => method === 'GET' && path.startsWith(RUN_PATH),
    status: 400,
    times: 9,
  })
  const played = await play({ clientPayload: payloadFor(ID, INPUTS) })
  expect(annotations(ownSteps(played.jobs[0]!).main)[0]).toMatch(
    /^error: The payload was too large .*, and the rest could not be fetched: Port \(.*\) answered 400/,
  )
})
