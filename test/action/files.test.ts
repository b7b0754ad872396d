import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { splitLines } from '../../action/runner/files.ts'
import { describeMistake } from '../../action/runner/runner.ts'
import { readEntities as readDocument, splitDocuments } from '../../action/steps/entities.ts'
import { readRunFile } from '../../action/steps/run.ts'
import { sendEntities } from '../../action/steps/send.ts'
import { PortError } from '../../port/client/client.ts'
import { temporaryFolder } from '../support/relay.ts'

function read(text: string | Buffer, final = true) {
  const path = join(temporaryFolder(), 'run')
  writeFileSync(path, text)
  const { problems, ...file } = readRunFile(path, { final })
  return { ...file, problems: problems.map(each => describeMistake(each, '$PORT_RUN', shown => shown)) }
}

const NOTHING = { statusLabel: '', links: [], summary: '', conclusion: null, outputs: {}, problems: [] }

test('reads values and multiline text, and keeps the last value of each name, and every link', () => {
  expect(readRunFile('/nowhere', { final: true })).toEqual(NOTHING)
  const text = [
    'status-label=Rolling out = 1',
    'link=https://a.example/1',
    'summary<<END',
    '# First',
    'a=b<<c',
    'END',
    '',
    'link=https://a.example/2?x=y<<z',
    'link=https://a.example/1',
    'status-label = Done ',
    'conclusion=failure',
  ]
  const expected = {
    ...NOTHING,
    statusLabel: 'Done',
    links: ['https://a.example/1', 'https://a.example/2?x=y<<z'],
    summary: '# First\na=b<<c',
    conclusion: 'failure',
  }
  const ofWindows = `${text.join('\r\n')}\r\n`
  expect(read(ofWindows)).toEqual(expected)
  // Windows PowerShell 5 writes UTF-16 with `>>`.
  expect(read(Buffer.from(`\ufeff${ofWindows}`, 'utf16le'))).toEqual(expected)
})

test('ignores incomplete lines while the job runs', () => {
  expect(read('status-label=a\nlink=https://a.exa', false)).toMatchObject({ statusLabel: 'a', links: [] })
  expect(read('status-label=a\nsummary<<END\nfirst\n', false)).toMatchObject({ summary: '', problems: [] })
})

test.each([
  [
    'status-lable=x',
    'Line 1 of $PORT_RUN: unknown name; valid names are status-label, link, summary, conclusion and output.NAME: "status-lable".',
  ],
  ['no entry', 'Line 1 of $PORT_RUN: neither name=value nor name<<DELIMITER: "no entry".'],
  [
    '\n\nlink=pull/7',
    'Line 3 of $PORT_RUN: link must be a URL such as https://github.com/acme/shop/pull/7: "pull/7".',
  ],
  [
    'summary<<END\ntext\n',
    'Line 1 of $PORT_RUN: no later line consists of only the delimiter: "summary<<END".',
  ],
])('omits %j and describes the mistake', (text, problem) => {
  expect(read(text)).toEqual({ ...NOTHING, problems: [problem] })
})

test.each([
  ['success', ['SUCCESS', 'Success', 'succeeded']],
  ['failure', ['FAILURE', 'failed', 'FAILED']],
  ['cancelled', ['CANCELLED', 'canceled']],
])('steps can write the conclusion %s as GitHub or Port spells it', (conclusion, words) => {
  for (const word of words) expect(read(`Conclusion=${word}`)).toMatchObject({ conclusion, problems: [] })
})

test('reads the start of a file that is too large, and reports that the rest is ignored', () => {
  const line = `${'x'.repeat(99)}\n`
  const text = `conclusion=failure\nsummary<<END\n${line.repeat(100_000)}END\nstatus-label=late\n`
  const problems = ['$PORT_RUN: everything after the first 10 MB is ignored.']
  expect(read(text)).toEqual({ ...NOTHING, conclusion: 'failure', problems })
  expect(read(text.replace(line.repeat(90_000), ''))).toMatchObject({ statusLabel: 'late', problems: [] })
  // The file is read repeatedly while the job runs.
  expect(read(`status-label=early\n${text}`, false)).toEqual({
    ...NOTHING,
    ...{ statusLabel: 'early', conclusion: 'failure' },
  })
})

test('reads at most nine links', () => {
  const lines = Array.from({ length: 11 }, (_, index) => `link=https://a.example/${index}`)
  const { links, problems } = read(lines.join('\n'))
  expect([links.length, problems.length]).toEqual([9, 2])
})

/** Returns the documents in the text that steps have appended. */
const split = (text: string, settled = true) =>
  splitDocuments(splitLines(Buffer.from(text), { rest: true }), { settled }).map(each => each.text)

const A = 'blueprint: service\nidentifier: a'
const B = 'blueprint: service\nidentifier: b'

test.each<[string, string, string[]]>([
  ['text without documents', '\n# a comment\n---\n', []],
  ['one document', `${A}\n`, [A]],
  ['documents with a separator between them', `${A}\n---\n${B}\n`, [A, B]],
  ['lines of JSON', '{"a":1}\n[{"b":"}"}]\n', ['{"a":1}', '[{"b":"}"}]']],
  ['JSON over several lines', '[\n  {"a": 1}\n]\n---\n{"c":3}', ['[\n  {"a": 1}\n]', '{"c":3}']],
  ['JSON after YAML', `${A}\n{"c":3}\n`, [A, '{"c":3}']],
  ['a list that grows', `- { a: 1 }\n- { a: 2 }\n`, ['- { a: 1 }\n- { a: 2 }']],
  [
    'a document that contains lists and text',
    `${A}\nrelations:\n  uses:\n  - b\ntext: |\n  blueprint: x\n`,
    [`${A}\nrelations:\n  uses:\n  - b\ntext: |\n  blueprint: x`],
  ],
  ['a document on the same line as its separator', '--- {"a":1}\n--- \nb: 2\n...\n', ['{"a":1}', 'b: 2']],
])('splits %s', (_, text, documents) => {
  expect(split(text)).toEqual(documents)
})

test('while the file can still grow, omits the last document unless it is complete JSON', () => {
  expect(split(`${A}\n---\n${B}\n`, false)).toEqual([A])
  expect(split('{"a":1}\n{"b":', false)).toEqual(['{"a":1}'])
})

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
  ['n: .inf', 'number in properties.n'],
  ['n: !!binary aGVsbG8=', 'value in properties.n'],
])('refuses %s because YAML would change its value', async (property, what) => {
  const text = `{ blueprint: b, identifier: i, properties: { ${property} } }`
  await expect(readEntities(text)).rejects.toThrow(`entity 1 (b/i) has a ${what} that `)
})

test('preserves every digit of a large number', async () => {
  const n = '18014398509481984'
  const [entity] = await readEntities(`{ blueprint: b, identifier: 7, properties: { n: [{ m: ${n} }] } }`)
  expect(JSON.stringify(entity!.body)).toBe(`{"identifier":"7","properties":{"n":[{"m":${n}}]}}`)
})

test('a null value counts as missing, because an omitted input is null', async () => {
  const text =
    '{ blueprint: b, identifier: i, title: null, icon: ~, team: null, properties: null, relations: { r: null } }'
  expect((await readEntities(text))[0]!.body).toEqual({ identifier: 'i', relations: { r: null } })
  await expect(readEntities('[{"blueprint":"b","identifier":null,"other":null}]')).rejects.toThrow(
    'Line 7 of the file: entity 1 (b) has no identifier: "{\\"blueprint\\":\\"b\\",\\"other\\":null}".',
  )
})

test("the remaining entities aren't sent if no time is left or Port is unreachable", async () => {
  const given = ['a', 'b', 'c'].map(blueprint => ({ blueprint, identifier: 'x' }))
  const entities = await readEntities(JSON.stringify(given))
  const tried: string[] = []
  const upsertEntity = async (blueprint: string) => void tried.push(blueprint)
  const slow = {
    upsertEntity,
    deleteEntity: async () => {},
    isDeferred: false,
    late: () => tried.length === 2,
  }
  const { problems } = await sendEntities(entities, slow)
  expect(problems).toEqual(["The last entity wasn't sent, because no time was left."])
  const refuse = () => Promise.reject(new PortError('later', 'Wait.'))
  const away = { ...slow, upsertEntity: refuse, late: () => false }
  expect((await sendEntities(entities, away)).problems).toEqual([
    "Entity a/x couldn't be upserted: Wait.",
    "The last 2 entities weren't sent, because Port couldn't be reached.",
  ])
})
