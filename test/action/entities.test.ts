import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps, payloadFor, told } from './play.ts'

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
const PATH = '/v1/blueprints'
const QUERY = 'upsert=true&merge=true&run_id=r_Q0YotCZMKxDLdlaU'

test('entities in YAML, with outputs of steps in them, are upserted on success, in order, tied to the run', async () => {
  const stage = await openStage()
  const played = await stage.play({ with: { entities: YAML }, steps: MAKE })

  expect(played.conclusion).toBe('success')
  expect(annotations(ownSteps(played.jobs[0]!).post)).toEqual([])
  const [token, ...end] = told(stage.port).slice(4)
  expect(token).toMatch(/^POST \/v1\/auth\/access_token/)
  expect(end).toEqual([
    `POST ${PATH}/service/entities?${QUERY} ` +
      '{"identifier":"shop-1","title":"Shop","icon":"Microservice","team":["web","ops"],' +
      '"properties":{"url":"https://shop.example","replicas":3},"relations":{"domain":"sales","uses":["db","cache"]}}',
    `POST ${PATH}/environment/entities?${QUERY} {"identifier":"prod"}`,
    expect.stringMatching(
      /^POST .*\/logs .*✓ Make \(N s\)\\n✓ Entity service\/shop-1\\n✓ Entity environment\/prod\\n✓ Job/,
    ),
    expect.stringMatching(/^PATCH .*"SUCCESS"/),
  ])
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
  const { play, port, run } = await openStage()
  const entities = JSON.stringify([
    { blueprint: 'service', identifier: 'right' },
    { blueprint: 'service', identifier: 'a b', name: 'x', team: 7 },
    { identifier: 'alone', title: 7, properties: [], relations: { domain: 7 } },
    'text',
  ])
  const played = await play({ with: { entities } })
  const problems = [
    'Entity 2 of entities (service/a b) has the identifier "a b", which Port does not take: letters, digits and @ _ . + : \\ / = - only.',
    'Entity 2 of entities (service/a b) has "name": properties of its own go under "properties".',
    'Entity 2 of entities (service/a b) has a team that is neither a name nor a list of names.',
    'Entity 3 of entities (alone) has no blueprint.',
    'Entity 3 of entities (alone) has a title that is no text.',
    'Entity 3 of entities (alone) has properties that are no mapping.',
    'Entity 3 of entities (alone) has a relation "domain" that is neither an identifier nor a list of them.',
    'Entity 4 of entities is no entity: it must have a blueprint and an identifier.',
  ]
  expect(annotations(ownSteps(played.jobs[0]!).post)).toEqual([
    `warning: ${problems.join('\n')} See docs/errors.md#entities`,
  ])
  expect(port.entities).toEqual([])
  for (const problem of problems) expect(run.logs.at(-1)!.message).toContain(`\n✗ ${problem}\n`)
  expect(run.status).toBe('SUCCESS')
})

test('a failure names blueprint, identifier and what Port says; the others are upserted', async () => {
  const { play, port, run } = await openStage({
    port: { blueprints: { service: { properties: { replicas: { type: 'number' } } } } },
  })
  const entities = `
- { blueprint: service, identifier: wrong, properties: { replicas: three } }
- { blueprint: nowhere, identifier: a }
- { blueprint: service, identifier: right, properties: { replicas: 3 } }
`
  const played = await play({ with: { entities } })
  expect(played.conclusion).toBe('success')
  const [warning] = annotations(ownSteps(played.jobs[0]!).post)
  const lines = warning!.split('\n')
  expect(lines[0]).toMatch(
    /^warning: Entity service\/wrong could not be upserted: Port \(.*\) answered 422 .*blueprint_schema_mismatch: .*properties\/replicas must be number/,
  )
  expect(lines[1]).toMatch(
    /^Entity nowhere\/a could not be upserted: Port \(.*\) answered 404 .* See docs\/errors.md#entities$/,
  )
  expect(port.entities.map(({ identifier }) => identifier)).toEqual(['right'])
  expect(run.logs.at(-1)!.message).toContain('✗ Entity service/wrong could not be upserted: ')
  expect(run.logs.at(-1)!.message).toContain('\n✓ Entity service/right\n')
})

test('with fail-on-report-error such a failure is that of the job and of the run in Port', async () => {
  const { play, run } = await openStage()
  const played = await play({ with: { entities: '- nothing', 'fail-on-report-error': 'true' } })
  expect(played.conclusion).toBe('failure')
  expect(annotations(ownSteps(played.jobs[0]!).post)[0]).toMatch(/^error: Entity 1 of entities is no entity/)
  expect(run.status).toBe('FAILURE')
})

test.each([
  ['{ a: [', /^warning: entities is neither YAML nor JSON: /],
  ['just a text', /^warning: entities must be a list of entities in YAML or JSON. See /],
])('entities that are %j are a warning', async (entities, message) => {
  const { play } = await openStage()
  const played = await play({ with: { entities } })
  expect(annotations(ownSteps(played.jobs[0]!).post)[0]).toMatch(message)
})
