import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { jobLine } from '../../action/finish/describe.ts'
import { summarize } from '../../action/finish/summarize.ts'
import { completePayload } from '../../action/report/complete-payload.ts'
import { splitLines } from '../../action/runner/split-lines.ts'
import { openSecrets } from '../../action/secrets/decrypt-inputs.ts'
import { maskParts } from '../../action/secrets/mask-parts.ts'
import { createRedact } from '../../action/secrets/redact.ts'
import { type ClientPayload, readClientPayload } from '../../port/client-payload.ts'
import { withoutColours } from '../../port/strip-ansi-codes.ts'
import type { RunState } from '../../port/types.ts'
import { bodyFor, payloadFor } from './play.ts'
import { sealWith } from './seal.ts'

// What the scenarios play with the bundles, piece by piece in this process.

const read = (...given: Parameters<typeof payloadFor>): ClientPayload =>
  readClientPayload(payloadFor(...given))!
const runWith = (state: Partial<RunState>) => async () =>
  ({
    status: 'in_progress',
    ended: false,
    externalRunId: null,
    synchronized: false,
    properties: null,
    body: null,
    ...state,
  }) as RunState
const INPUTS = { first: 1, large: 'L'.repeat(2_000), last: null }
const cut = (runId = 'r_1') => read(runId, INPUTS, { event: { large: 'E'.repeat(2_000) }, maxBytes: 900 })
const whole = read('r_1', INPUTS, { event: { large: 'E'.repeat(2_000) } })

test('a payload is completed from the body of the run, as object or text, or from its properties', async () => {
  const body = bodyFor('r_1', INPUTS, { event: { large: 'E'.repeat(2_000) } })
  expect(await completePayload(whole, null)).toBe(whole)
  expect(await completePayload(cut(), runWith({ body }))).toEqual(whole)
  expect(await completePayload(cut(), runWith({ body: JSON.stringify(body) }))).toEqual(whole)
  const inputs = read('r_1', INPUTS, { maxBytes: 900 })
  expect((await completePayload(inputs, runWith({ properties: INPUTS }))).port.inputs).toEqual(INPUTS)
  const many = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`i${index}`, index]))
  const all = read('r_1', many, { maxBytes: 900 })
  expect(all.port.truncated).toContain('encrypted')
  const restored = await completePayload(all, runWith({ body: bodyFor('r_1', many, { encrypted: ['i1'] }) }))
  expect(restored.port).toMatchObject({ inputs: many, encrypted: ['i1'], truncated: [] })
})

test.each(['constructor', 'toString', 'hasOwnProperty', '__proto__'])(
  'a large input named %s comes whole, as any other',
  async name => {
    const inputs = Object.fromEntries([
      ['first', 1],
      [name, 'L'.repeat(2_000)],
    ])
    const sent = read('r_1', inputs, { maxBytes: 900 })
    expect(sent.port.truncated).toContain(`inputs.${name}`)
    const done = await completePayload(sent, runWith({ body: bodyFor('r_1', inputs) }))
    expect(Object.entries(done.port.inputs)).toEqual(Object.entries(inputs))
    const lost = completePayload(sent, runWith({ body: bodyFor('r_1', { first: 1 }) }))
    await expect(lost).rejects.toThrow(
      `"inputs.${name}" did not come with it, and Port's run r_1 does not hold that`,
    )
  },
)

test('a payload that cannot be completed is an error that says what is missing', async () => {
  await expect(completePayload(cut('wfnr_1'), null)).rejects.toThrow(
    'only the run of an action in Port can be asked',
  )
  await expect(completePayload(cut(), null)).rejects.toThrow(
    'Set the inputs port-client-id and port-client-secret',
  )
  await expect(completePayload(cut(), () => Promise.reject(new Error('Away.')))).rejects.toThrow(
    'could not be fetched: Away.',
  )
  await expect(completePayload(cut(), runWith({ body: 'no JSON' }))).rejects.toThrow(
    '"inputs.large", "event" did not come with it, and Port\'s run r_1 does not hold that either: send less',
  )
  const part = runWith({ body: bodyFor('r_1', INPUTS) })
  await expect(completePayload(cut(), part)).rejects.toThrow('does not hold "event" either: send less')
  const all = read(
    'r_1',
    Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`i${index}`, index])),
    { maxBytes: 900 },
  )
  await expect(completePayload(all, runWith({}))).rejects.toThrow('does not hold "entity", "inputs"')
})

test('secret inputs are opened with the key that fits, and problems name input and setting', () => {
  const secret = 'a client secret of more than thirty-two bytes'
  const payload = read(
    'r_1',
    { token: sealWith(secret, 'clear'), none: null, empty: '' },
    { encrypted: ['token', 'none', 'empty', 'absent'] },
  )
  expect(openSecrets(payload, { portClientSecret: secret, secretKey: 'no PEM' })).toEqual({
    inputs: { token: 'clear', none: null, empty: '' },
    secrets: new Map([['token', 'clear']]),
    sealed: [],
    problems: [],
  })
  expect(openSecrets(payload, { portClientSecret: '', secretKey: '' }).sealed).toEqual(['token'])
  const wrong = openSecrets(payload, { portClientSecret: 'x'.repeat(32), secretKey: '' })
  expect(wrong.inputs).toEqual({ none: null, empty: '' })
  expect(wrong.problems).toEqual([
    expect.stringMatching(/^The secret input "token" could not be decrypted with port-client-secret: /),
  ])
})

/** The Base64 of a text, as far as it does not depend on its neighbours: after 0, 2 and 1 bytes of others. */
const encoded = (text: string) =>
  [0, 1, 2].map(offset => {
    const rest = Buffer.from(text).subarray(offset)
    return rest.toString('base64').slice(0, Math.floor((rest.length * 8) / 6))
  })

test('a number in an object is masked as it stands there, and as it may be printed', () => {
  const secret = '{"account":12345678901234567890,"pin":1234.50,"list":[1e4]}'
  expect(maskParts(secret)).toEqual([
    secret,
    '12345678901234567890',
    '12345678901234567000',
    '1234.50',
    '1234.5',
    '10000',
  ])
})

test('of a secret each line, and each text and number inside JSON, is masked and kept from Port', () => {
  expect(maskParts('ab')).toEqual(['ab'])
  expect(maskParts('')).toEqual([])
  expect(maskParts('{"a":["long","no",12345,true,{"b":"one\\ntwo long"}]}')).toEqual([
    '{"a":["long","no",12345,true,{"b":"one\\ntwo long"}]}',
    'long',
    '12345',
    'two long',
    ...encoded('one\ntwo long'),
  ])
  const object = '{\n"key": "value"\n}'
  expect(maskParts(object)).toEqual(['"key": "value"', 'value', ...encoded(object)])
  expect(createRedact(['pass', 'password', ''])('my password and pass')).toBe('my *** and ***')
})

test('lines are split in UTF-8 and UTF-16, also in one file, and one without an end only when asked for', () => {
  const wide = (text: string) => Buffer.from(text, 'utf16le')
  const bytes = Buffer.concat([wide('\ufeffä漢\r\nzwei\r\n'), Buffer.from('drei\n'), wide('vier\r\nfünf')])
  const texts = (rest: boolean) => splitLines(bytes, { rest }).map(({ text }) => text)
  expect(texts(false)).toEqual(['ä漢', 'zwei', 'drei', 'vier'])
  expect(texts(true)).toEqual(['ä漢', 'zwei', 'drei', 'vier', 'fünf'])
  expect(splitLines(Buffer.from('a\nb'), { rest: true })).toEqual([
    { text: 'a', end: 2 },
    { text: 'b', end: 3 },
  ])
})

test.each(['\x1b]8;;', '\x1b', '\x1b]8;;\x07', '\x07\x1b]'])(
  'a line of terminal sequences like %j, which may never end, holds nothing up',
  sequence => {
    const endless = `${sequence.repeat(200_000)}\nnext\n`
    expect(splitLines(Buffer.from(endless), { rest: false }).at(-1)?.text).toBe('next')
  },
)

test('a line of any length is without colours, so that no secret hides behind them', () => {
  const line = `${'\x1b[1m.\x1b[0m'.repeat(20_000)} hunter2-\x1b[31mTOP\x1b[0m-secret \x1b]8;;`
  const [{ text } = { text: '' }] = splitLines(Buffer.from(`${line}\n`), { rest: false })
  expect(text).toMatch(/^\.{20000} hunter2-TOP-secret /)
})

test('colours are taken away as by Node, wherever a sequence ends', () => {
  const part = fc.constantFrom(...'\x1b\x9b[]1;m\\\x07\x9c', 'text', '\x1b]8;;')
  const line = fc.array(part, { maxLength: 12 }).map(parts => parts.join(''))
  const isAsNode = (given: string) => withoutColours(given) === stripVTControlCharacters(given)
  fc.assert(fc.property(line, isAsNode), { numRuns: 2_000 })
})

test('a summary names secret and large inputs, shows values as one line, and says what it leaves out', () => {
  const payload = read('r_1', {
    tags: ['a', 'b'],
    password: 'sealed',
    notes: `one\n${'x'.repeat(300)}`,
    none: null,
  })
  payload.port.encrypted = ['password']
  payload.port.truncated = ['inputs.large', 'entity']
  const job = jobLine({ name: 'deploy', status: 'success', durationMs: 1_000 })
  const steps = Array.from({ length: 103 }, (_, index) => ({
    name: `Step ${index}`,
    conclusion: index === 0 ? 'skipped' : 'success',
    durationMs: index === 1 ? null : 2_000,
  }))
  const rows = summarize({
    ends: [job],
    problems: [],
    payload,
    steps,
    url: 'https://g/1',
    redact: text => text,
  })
    .split('\n')
    .map(row => row.replace(/ +/g, ' '))
  expect(rows).toEqual(
    expect.arrayContaining([
      '| tags | `["a","b"]` |',
      '| password | (secret) |',
      `| notes | one ${'x'.repeat(116)}… |`,
      '| large | (too large to show) |',
      '| Step 0 | – skipped | |',
      '| Step 1 | ✓ success | |',
      '| Step 99 | ✓ success | 2 s |',
      '… and 3 more.',
    ]),
  )
  expect(rows.join()).not.toMatch(/Step 100|sealed|none|entity/)
})
