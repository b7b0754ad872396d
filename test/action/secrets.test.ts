import { expect, test } from 'vitest'
import { createRedact, jobCredentials, maskParts } from '../../action/secrets/redact.ts'
import vectors from '../fixtures/port/encryption-vectors.json' with { type: 'json' }
import { seededRandom } from '../support/random.ts'
import { openRunner } from './open-runner.ts'
import { payloadFor, startSystem } from './play.ts'

const SECRET = `quo"ted \\ & <'secret'> ü+/?!(*)🚀`
const escaped = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
const inAscii = (json: string) => json.replace(/[\u0080-\uffff]/g, escaped)
const forPage = (json: string) => json.replace(/[<>&']/g, escaped)
const strictUri = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, char => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
const inElement = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
const inXml = (text: string) => inElement(text).replaceAll('"', '&quot;')
const inLowerCase = (uri: string) => uri.replace(/%[\dA-F]{2}/g, found => found.toLowerCase())

test.each<[string, (secret: string) => string]>([
  ['unchanged', secret => secret],
  ['as JSON', secret => JSON.stringify({ value: secret })],
  ['as JSON in JSON', secret => JSON.stringify({ inputs: JSON.stringify({ value: secret }) })],
  ['in a command argument', secret => `--password "${secret.replaceAll('"', '\\"')}"`],
  ['in a shell trace', secret => `+ login '${secret.replaceAll("'", "'\\''")}'`],
  ['in an expression', secret => `'${secret.replaceAll("'", "''")}'`],
  ['in a URL', secret => `https://x.example/?password=${encodeURIComponent(secret)}`],
  ['in a URL, escaped as far as possible', secret => `https://x.example/?password=${strictUri(secret)}`],
  ['in a form', secret => `password=${encodeURIComponent(secret).replaceAll('%20', '+')}`],
  ['in a browser form', secret => `password=${strictUri(secret).replaceAll('%20', '+')}`],
  ['in a URL, in lower case', secret => `?password=${inLowerCase(encodeURIComponent(secret))}`],
  ['in a .NET form', secret => inLowerCase(strictUri(secret)).replaceAll('%20', '+')],
  ['as JSON in ASCII', secret => inAscii(JSON.stringify({ value: secret }))],
  ['as PHP encodes JSON', secret => inAscii(JSON.stringify({ value: secret })).replaceAll('/', '\\/')],
  ['as Go encodes JSON', secret => JSON.stringify({ value: secret }).replace(/[<>&]/g, escaped)],
  ['as JSON for an HTML page', secret => forPage(JSON.stringify({ value: secret }))],
  ['as ASCII JSON for an HTML page', secret => inAscii(forPage(JSON.stringify({ value: secret })))],
  [
    'as .NET encodes JSON',
    () =>
      '{"value":"quo\\u0022ted \\\\ \\u0026 \\u003C\\u0027secret\\u0027\\u003E \\u00FC\\u002B/?!(*)\\uD83D\\uDE80"}',
  ],
  ['in an XML element', secret => `<password>${inElement(secret)}</password>`],
  ['in an XML attribute, as PHP encodes it', secret => `<password is="${inXml(secret)}">`],
  [
    'in HTML, as Go encodes it',
    secret => `<b>${inElement(secret).replaceAll('"', '&#34;').replaceAll("'", '&#39;')}</b>`,
  ],
  ['in XML', secret => `<password>${inXml(secret).replaceAll("'", '&apos;')}</password>`],
  ['in HTML', secret => `<b>${inXml(secret).replaceAll("'", '&#39;')}</b>`],
  ['in HTML, as Python encodes it', secret => `<b>${inXml(secret).replaceAll("'", '&#x27;')}</b>`],
  ['in Base64', secret => Buffer.from(secret).toString('base64')],
  ['in Base64 after a name', secret => Buffer.from(`ada:${secret}`).toString('base64')],
  ['in Base64 after another name', secret => Buffer.from(`adam:${secret}`).toString('base64')],
  ['in Base64 between other text', secret => Buffer.from(`user:${secret}\nand more`).toString('base64')],
  ['in Base64 for URLs', secret => Buffer.from(secret).toString('base64url')],
])('a secret that is written %s is redacted', (_, write) => {
  const text = write(SECRET)
  const hidden = createRedact([SECRET])(`before ${text} after`)
  expect(hidden).toMatch(/^before .*\*\*\*.* after$/)
  for (const part of ['quo', 'secret', 'ted']) expect(hidden).not.toContain(part)
  // Only Base64 digits that also encode bits of the neighboring text can remain.
  expect(hidden.length).toBeLessThan(`before ${text} after`.length - 20)
})

test('text that resembles a part of the Base64 of a short secret is not redacted', () => {
  const text = 'the words Yg and YWI stay'
  expect(createRedact(['ab'])(text)).toBe(text)
  expect(createRedact(['', ' '])(text)).toBe(text)
})

test('redacting 2 MB of log takes seconds, even with a hundred secrets that repeat themselves or begin alike', () => {
  const lines = (start: string, each: number) =>
    Array.from({ length: 50 }, (_, i) => `${start}${i}-${each}`).join('\n')
  const secrets = Array.from({ length: 100 }, (_, each) => {
    if (each < 40) return `${'ab'.repeat(2_000 + each)}c`
    return each < 80 ? `${'-'.repeat(1_000)}${each}` : lines('x'.repeat(200), each)
  })
  const text = ['ab'.repeat(30_000), '-'.repeat(999), `${'x'.repeat(3_000)}\n`.repeat(10)]
    .join('\n')
    .repeat(22)
  const shown = secrets.map(secret => `\n${secret}\n${text.slice(0, 100)}`)
  const redacted = shown.map(() => `\n***\n${text.slice(0, 100)}`)
  expect(createRedact(secrets)(text + shown.join(''))).toBe(text + redacted.join(''))
})

test('random texts are redacted as if each secret were searched at each position', () => {
  const seed = Number(process.env.REDACTION_SEED ?? Date.now())
  const random = seededRandom(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  for (let each = 0; each < 2_000; each++) {
    // No other encoding of a secret consists of these characters.
    const letters = ['ab', 'a', 'ab\n', 'ab\0', 'abcé\uDE80'][below(5)]!
    const word = (most: number) =>
      Array.from({ length: below(most) }, () => letters[below(letters.length)]).join('')
    const secrets = Array.from({ length: 1 + below(9) }, () => word(4).repeat(below(6)) + word(12))
    const parts = secrets.flatMap(secret => [secret, secret.trim(), ...maskParts(secret)])
    const patterns = parts.filter(part => part.trim() !== '')
    const text = Array.from({ length: below(9) }, () => word(20) + secrets[below(secrets.length)]).join('')
    let [expected, end] = ['', 0]
    for (let start = 0; start < text.length; start++) {
      const found = patterns.filter(pattern => text.startsWith(pattern, start))
      if (start >= end) expected += found.length > 0 ? '***' : text[start]
      end = Math.max(end, ...found.map(pattern => start + pattern.length))
    }
    expect(createRedact(secrets)(text), `seed ${seed}, case ${each}: ${JSON.stringify(secrets)}`).toBe(
      expected,
    )
  }
})

test('masks the short lines of a secret if they contain a letter or digit, and hides the whole secret from Port', () => {
  const plain = (secret: string) => maskParts(secret).filter(part => secret.includes(part))
  expect(plain('123\n456\n}{\nü')).toEqual(['123', '456', 'ü'])
  expect(plain('!!\n??')).toEqual([])
  const redact = createRedact(['123\n456\n789', '!!\n??\n'])
  expect(redact('pin 456 of 123')).toBe('pin *** of ***')
  expect(redact('It is\n!!\n??\nor "!!\\n??\\n".')).toBe('It is\n***or "***".')
  expect(plain('{\n"a": "1"\n}')).toEqual(['"a": "1"'])
})

test("the job's keys and tokens count as secrets too", () => {
  const given = { portClientSecret: 'client', privateKey: '', githubToken: 'ghs', mask: ['more'] }
  const inputs = given as Parameters<typeof jobCredentials>[0]
  const env = { ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request', ACTIONS_RUNTIME_TOKEN: 'runtime' }
  const all = ['client', 'ghs', 'report', 'request', 'runtime', 'more']
  expect(jobCredentials(inputs, env, 'report')).toEqual(all)
  expect(jobCredentials(inputs, {})).toEqual(['client', 'ghs', 'more'])
})

test('if no key decrypts an input, the error names both settings and says which one is missing', async () => {
  const [sealed] = vectors['client-side'].cases
  const payload = payloadFor('r_Q0YotCZMKxDLdlaU', { token: sealed!.encrypted }, { encrypted: ['token'] })
  const job = openRunner({ ...(await startSystem()), payload })
  const [error] = await job.run('main')
  expect(error).toContain('::error::The secret input "token" couldn\'t be decrypted. If')
  expect(error).toContain("organization that the Port action belongs to; it doesn't match. ")
  expect(error).toContain("public key in the Port action; it isn't set. ")
  expect(job.outputs()).not.toHaveProperty('token')
})
