import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps, payloadFor } from './play.ts'
import { transcript } from './transcript.ts'

const YAML = `
- blueprint: service
  identifier: \${{ steps.make.outputs.name }}
  title: Shop
  icon: Microservice
  team: [web, ops]
  properties: { url: "https://shop.example", replicas: 3 }
  relations: { domain: sales, uses: [db, cache] }
- blueprint: environment
  identifier: prod
`
const MAKE = '- { id: make, name: Make, run: "echo name=shop-1 >> $GITHUB_OUTPUT" }'

test('entities in YAML, with outputs of steps in them, are upserted on success, in order, tied to the run', async () => {
  const stage = await openStage()
  const played = await stage.play({ with: { entities: YAML }, steps: MAKE })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/entities.yml')
  expect(stage.port.entities).toMatchObject([{ runId: stage.run.id }, { runId: stage.run.id }])
})

test('entities in JSON, or one alone, are taken as well', async () => {
  const { play, port } = await openStage()
  await play({ with: { entities: '${{ toJSON(fromJSON(\'{"blueprint":"service","identifier":"a"}\')) }}' } })
  expect(port.entities).toMatchObject([{ blueprint: 'service', identifier: 'a' }])
})

test('a job that fails upserts nothing', async () => {
  const { play, port, run } = await openStage()
  await play({ with: { entities: YAML }, steps: '- run: exit 1' })
  expect(port.entities).toEqual([])
  expect(run.status).toBe('FAILURE')
})

test('entities of a run of a node are tied to nothing', async () => {
  const { play, port } = await openStage()
  port.createNodeRun({ id: 'wfnr_Zy98Xw76Vu54Ts32' })
  await play({
    clientPayload: payloadFor('wfnr_Zy98Xw76Vu54Ts32'),
    with: { entities: '{"blueprint":"service","identifier":"a"}' },
  })
  expect(port.entities).toMatchObject([{ identifier: 'a', runId: undefined }])
})

test('one mistake, and nothing is sent: each is named, as a warning and in the log of Port', async () => {
  const stage = await openStage()
  const entities = JSON.stringify([
    { blueprint: 'service', identifier: 'right' },
    { blueprint: 'service', identifier: 'a b', name: 'x', team: 7 },
    { identifier: 'alone', title: 7, properties: [], relations: { domain: 7 } },
    'text',
  ])
  const played = await stage.play({ with: { entities } })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/entities-wrong.yml')
  expect(stage.port.entities).toEqual([])
  expect(stage.run.status).toBe('SUCCESS')
})

test('a failure names blueprint, identifier and what Port says; the others are upserted', async () => {
  const stage = await openStage({
    port: { blueprints: { service: { properties: { replicas: { type: 'number' } } } } },
  })
  const entities = `
- { blueprint: service, identifier: wrong, properties: { replicas: three } }
- { blueprint: nowhere, identifier: a }
- { blueprint: service, identifier: right, properties: { replicas: 3 } }
`
  const played = await stage.play({ with: { entities } })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/entities-refused.yml')
  expect(stage.port.entities.map(({ identifier }) => identifier)).toEqual(['right'])
})

test('with fail-on-report-error such a failure is that of the job and of the run in Port', async () => {
  const stage = await openStage()
  const played = await stage.play({ with: { entities: '- nothing', 'fail-on-report-error': 'true' } })
  await expect(transcript(played, stage)).toMatchFileSnapshot('transcripts/entities-fail-on-report-error.yml')
  expect(stage.run.status).toBe('FAILURE')
})

test.each([
  ['{ a: [', /^warning: entities is neither YAML nor JSON: /],
  ['just a text', /^warning: entities must be a list of entities in YAML or JSON. See /],
])('entities that are %j are a warning', async (entities, message) => {
  const { play } = await openStage()
  const played = await play({ with: { entities } })
  expect(annotations(ownSteps(played.jobs[0]!).post)[0]).toMatch(message)
})
