import { appendFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openRunner, seeAlso } from './open-runner.ts'
import { linesOf, type System, startSystem } from './play.ts'

/** Runs a job that finishes with these entities. Returns its output and the lines about entities in Port's log. */
async function endWith(system: System, file: string, inputs: Record<string, string> = {}) {
  const job = openRunner(system, { 'github-token': '', ...inputs })
  await job.run('main')
  appendFileSync(job.saved().files.entities, file)
  const printed = await job.post()
  return { printed: printed.slice(1), lines: linesOf(system.run).filter(line => line.includes('ntit')) }
}

const ONE = '{"blueprint":"service","identifier":"a"}'

test('a mistake in $PORT_ENTITIES only prevents its document from being sent', async () => {
  const system = await startSystem()
  const wrong = JSON.stringify([
    { blueprint: 'service', identifier: 'right' },
    { blueprint: 'service', identifier: 'a b', team: 7 },
    { blueprint: 'service', identifier: 'c', createdAt: '2026-11-01T10:00:00.000Z', propertys: { a: 1 } },
    { identifier: 'alone', title: 7, properties: [], relations: { domain: 7 } },
    'text',
  ])
  const { printed, lines } = await endWith(system, `${wrong}\n---\n${ONE}\n`)
  const mistakes = [
    String.raw`2 (service/a b) has characters in its identifier that Port does not accept (allowed: letters, digits, and @ _ . + : \ / = -): "a b".`,
    '2 (service/a b) has a team that is neither a name nor a list of names: "7".',
    '3 (service/c) has an unknown key (known: blueprint, identifier, operation, title, icon, team, properties, relations): "propertys".',
    String.raw`4 (alone) has no blueprint: "{\"identifier\":\"alone\",\"title\":7,\"properties\":[],\"relations\":…".`,
    '4 (alone) has a title that is not a string: "7".',
    '4 (alone) has properties that are not a mapping: "[]".',
    '4 (alone) has a relation "domain" that is neither an identifier nor a list of them: "7".',
    '5 is not an entity with a blueprint and an identifier: "text".',
  ].map(mistake => `Line 1 of $PORT_ENTITIES: entity ${mistake}`)
  expect(printed).toEqual([`::warning::${mistakes.join('%0A')}${seeAlso('entities')}`])
  expect(lines).toEqual([...mistakes.map(line => `✗ ${line}`), '✓ Entity service/a'])
  expect(system.run.status).toBe('SUCCESS')
})

test('the log shows the blueprint, identifier, and Port response of a rejected entity; the other entities are sent', async () => {
  const service = { properties: { replicas: { type: 'number' } } }
  const system = await startSystem({ blueprints: { service } })
  const file = `{"blueprint":"service","identifier":"gone","operation":"delete"}
- { blueprint: service, identifier: wrong, properties: { replicas: three } }
- { blueprint: nowhere, identifier: a }
- { blueprint: service, identifier: right, properties: { replicas: 3 } }
`
  const { printed, lines } = await endWith(system, file)
  expect(printed[0]).toMatch(
    /^::warning::Entity service\/wrong could not be upserted: Port \(.*\) responded with 422 .*replicas.*%0AEntity nowhere\/a could not be upserted: .* Port has no blueprint "nowhere"/,
  )
  expect(lines).toEqual([
    expect.stringMatching(/^– Entity service\/gone was not deleted: it/),
    expect.stringMatching(/^✗ Entity service\/wrong could not be upserted/),
    expect.stringMatching(/^✗ Entity nowhere\/a could not be upserted/),
    '✓ Entity service/right',
  ])
  expect(system.port.entities.map(({ identifier }) => identifier)).toEqual(['right'])
})

test.each([
  [
    '{ a: [',
    'neither a line of JSON nor YAML (with --- between documents): Flow sequence in block collection must be ',
    '"{ a: ["',
  ],
  ['just a text', 'not a list of entities in YAML or JSON', '"just a text"'],
  [`- ${'x'.repeat(55)}-hidden`, 'entity 1 is not an entity', `"${'x'.repeat(55)}-***"`],
])('the warning about the document %j states its line and quotes its start', async (text, message, start) => {
  const { printed } = await endWith(await startSystem(), `${ONE}\n---\n\n${text}`, { mask: 'hidden' })
  expect(printed).toEqual([expect.stringContaining(`::warning::Line 4 of $PORT_ENTITIES: ${message}`)])
  expect(printed[0]).toContain(`: ${start}.`)
})

test('an entity with a secret in its identifier or a property name is not sent; the link to the workflow run is sent', async () => {
  const system = await startSystem()
  const named = '{"blueprint":"service","identifier":"acme-shop","title":"of acme"}'
  const property = '{"blueprint":"service","identifier":"x","properties":{"a":{"of-acme":1}}}'
  const file = [named, named.replace('acme-shop', 'shop'), property].join('\n')
  const { printed } = await endWith(system, file, { mask: '["acme"]' })
  expect(system.port.entities).toMatchObject([{ identifier: 'shop', title: 'of ***' }])
  expect(printed).toEqual([
    expect.stringContaining(
      'The identifier of an entity contains a secret, and secrets are not sent to Port: use another value',
    ),
  ])
  expect(printed[0]).toContain(
    'Entity service/x could not be upserted: The name of a property of an entity contains a secret',
  )
  expect(system.run.link).toEqual([expect.stringContaining('/acme/shop/actions/runs/')])
})
