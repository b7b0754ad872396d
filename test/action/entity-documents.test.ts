import { expect, test } from 'vitest'
import { splitLines } from '../../action/runner/files.ts'
import { splitDocuments } from '../../action/steps/entities.ts'

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

test('omits the last document while the file can still grow, unless the document is complete JSON', () => {
  expect(split(`${A}\n---\n${B}\n`, false)).toEqual([A])
  expect(split('{"a":1}\n{"b":', false)).toEqual(['{"a":1}'])
})

test('`end` of a document is the offset of the byte after the document', () => {
  const lines = splitLines(Buffer.from(`${A}\n---\n{"ü":1}\n`), { rest: false })
  expect(splitDocuments(lines, { settled: true }).map(({ end }) => end)).toEqual([33, 46])
})
