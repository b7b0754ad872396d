import { expect, test } from 'vitest'
import { describeMistake } from '../../action/runner/runner.ts'
import { readEntities as readDocument } from '../../action/steps/entities.ts'
import { sendEntities } from '../../action/steps/send.ts'
import { PortError } from '../../port/client/client.ts'

/** @throws Error that lists the mistakes */
async function readEntities(text: string) {
  const { entities, mistakes } = await readDocument(text, 7)
  if (mistakes.length === 0) return entities
  throw new Error(mistakes.map(each => describeMistake(each, 'the file', shown => shown)).join('\n'))
}

test('entities are read from YAML and JSON, and validated', async () => {
  const service = async (team: string) =>
    (await readEntities(`{"blueprint": "service", "identifier": "a", "team": ${team}}`))[0]!.body.team
  expect(await service('{"combinator":"and"}')).toEqual({ combinator: 'and' })
  expect(await service('[x, y]')).toEqual(['x', 'y'])
  await expect(service('[x, 1]')).rejects.toThrow(
    'has a team that is neither a name nor a list of names: "[\\"x\\",1]".',
  )
  const relations = { a: ['b', null], c: { d: 1 } }
  expect(
    await readEntities('- { blueprint: service, identifier: 42, relations: { a: [b, null], c: { d: 1 } } }'),
  ).toEqual([
    { operation: 'upsert', blueprint: 'service', identifier: '42', body: { identifier: '42', relations } },
  ])
  await expect(readEntities('a: 1\nb: [\n')).rejects.toThrow(/^Line 9 of the file: .*: ""\.$/)
})

/** Reads one entity of each of these blueprints. */
const entitiesOf = (...blueprints: string[]) =>
  readEntities(JSON.stringify(blueprints.map(blueprint => ({ blueprint, identifier: 'x' }))))

test('entities are sent one after the other, and a rejected entity does not prevent the next one', async () => {
  const reasons: Record<string, unknown> = { bad: new Error('No.'), odd: 'odd' }
  const port = portThat(async blueprint => {
    if (blueprint in reasons) throw reasons[blueprint]
  })
  const { lines } = await sendEntities(await entitiesOf('bad', 'odd', 'good'), port)
  expect(lines.map(line => line.message)).toEqual([
    '✗ Entity bad/x could not be upserted: No.',
    '✗ Entity odd/x could not be upserted: odd',
    '✓ Entity good/x',
  ])
})

const portThat = (upsertEntity: (blueprint: string) => Promise<void>, late: () => boolean = () => false) => ({
  upsertEntity,
  deleteEntity: async () => {},
  isDeferred: false,
  late,
})

test.each(['1.10', '0123', '1e10', '.inf', '12345678901234567890', '0x1F', 'true'])(
  'an identifier %s without quotes is used as written',
  async written => {
    const identifiers = async (text: string) => (await readEntities(text)).map(({ body }) => body.identifier)
    expect(
      await identifiers(`
- { blueprint: release, identifier: a, properties: { identifier: 1.10 } }
- { blueprint: release, identifier: ${written} }`),
    ).toEqual(['a', written])
    expect(await identifiers(`{ blueprint: release, identifier: ${written} }`)).toEqual([written])
  },
)

test.each([
  ['n: 12345678901234567890', 'number in properties.n'],
  ['n: [1, { m: -9007199254740993 }]', 'number in properties.n.1.m'],
  ['n: 0x7FFFFFFFFFFFFFFF', 'number in properties.n'],
  ['n: .inf', 'number in properties.n'],
  ['n: .nan', 'number in properties.n'],
  ['n: !!binary aGVsbG8=', 'value in properties.n'],
  ['n: !!set { a, b }', 'value in properties.n'],
])('refuses %s because YAML would change its value', async (property, what) => {
  const text = `{ blueprint: b, identifier: i, properties: { ${property} } }`
  await expect(readEntities(text)).rejects.toThrow(`entity 1 (b/i) has a ${what} that `)
})

test('accepts a large number only if its digits are preserved or the number is in quotes', async () => {
  const properties = { a: 9007199254740991, b: -1.5, c: 1e3, d: '12345678901234567890' }
  const text = JSON.stringify({ blueprint: 'b', identifier: 12345678901, properties })
  expect((await readEntities(text))[0]!.body).toEqual({ identifier: '12345678901', properties })
  const large = '[{"blueprint":"b","identifier":"i","properties":{"n":12345678901234567890}}]'
  await expect(readEntities(large)).rejects.toThrow('has a number in properties.n that would reach Port')
})

test.each(['1700000000000000000', '18014398509481984', '-9007199254740992'])(
  'sends the large number %s because its digits are preserved',
  async digits => {
    for (const text of [
      `[{"blueprint":"b","identifier":7,"properties":{"n":[{"m":${digits}}]}}]`,
      `- { blueprint: b, identifier: a }\n- { blueprint: b, identifier: 7, properties: { n: [{ m: ${digits} }] } }`,
    ]) {
      const sent = JSON.stringify((await readEntities(text)).at(-1)!.body)
      expect(sent).toBe(`{"identifier":"7","properties":{"n":[{"m":${digits}}]}}`)
    }
  },
)

test('a null value, for example from an omitted input, counts as missing', async () => {
  const text =
    '{ blueprint: b, identifier: i, title: null, icon: ~, team: null, properties: null, relations: { r: null } }'
  expect((await readEntities(text))[0]!.body).toEqual({ identifier: 'i', relations: { r: null } })
  await expect(readEntities('[{"blueprint":"b","identifier":null,"other":null}]')).rejects.toThrow(
    'Line 7 of the file: entity 1 (b) has no identifier: "{\\"blueprint\\":\\"b\\",\\"other\\":null}".',
  )
})

test('if no time is left, or Port is unreachable, the remaining entities are not sent', async () => {
  const entities = await entitiesOf('a', 'b', 'c')
  const tried: string[] = []
  const slow = portThat(
    async blueprint => void tried.push(blueprint),
    () => tried.length === 2,
  )
  const late = await sendEntities(entities, slow)
  expect(late.problems).toEqual(['The last entity was not sent, because no time was left.'])
  const away = portThat(() => Promise.reject(new PortError('later', 'Wait.')))
  expect((await sendEntities(entities, away)).problems).toEqual([
    'Entity a/x could not be upserted: Wait.',
    'The last 2 entities were not sent, because Port could not be reached.',
  ])
})
