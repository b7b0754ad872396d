import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../relay/config/config.ts'
import { verifySignature, withoutWhitespace } from '../../relay/intake/signature.ts'
import { configProblems } from '../support/config-problems.ts'
import { signatureVectors } from '../support/fixture.ts'
import { openReceiving } from '../support/receiving.ts'
import { SECRET, sign } from '../support/requests.ts'

const TIMESTAMP = '1713277889'
const BODY = Buffer.from('{"port_context":{"runId":"r_Q0YotCZMKxDLdlaU"},"a b":"c\\" d"}')
const SIGNATURE = sign(TIMESTAMP, BODY)
const token = (signature: string) => signature.slice('v1,'.length)

describe.each(signatureVectors)('test vector "$name"', vector => {
  const { secret, timestamp, signature } = vector
  const body = Buffer.from(vector.raw_body)
  const verify = (changed: { body?: Uint8Array; timestamp?: string; signature?: string }) =>
    verifySignature(
      [secret],
      changed.signature ?? signature,
      changed.timestamp ?? timestamp,
      changed.body ?? body,
    )

  test('is accepted as a webhook one second after its timestamp', async () => {
    const signedAt = Number(timestamp) * (timestamp.length > 11 ? 1 : 1000)
    const relay = await openReceiving({ env: { PORT_CLIENT_SECRET: secret }, clock: () => signedAt + 1000 })
    const headers = { 'x-port-timestamp': timestamp, 'x-port-signature': signature }
    const response = await relay.request('/webhook', { method: 'POST', headers, body })
    expect(response.status).toBe(202)
    expect(await relay.written()).toHaveLength(1)
  })

  test('is refused after any change, except to white space outside strings', () => {
    const part = fc.constantFrom('body', 'timestamp', 'signature' as const)
    const insert = fc.uint8Array({ maxLength: 3 })
    const mutation = fc.record({ part, at: fc.nat(), remove: fc.nat(3), insert })
    fc.assert(
      fc.property(mutation, ({ part, at, remove, insert }) => {
        const old = part === 'body' ? body : Buffer.from(vector[part], 'latin1')
        const from = at % (old.length + 1)
        const changed = Buffer.concat([old.subarray(0, from), insert, old.subarray(from + remove)])
        const text = changed.toString('latin1')
        const harmless = {
          body: compact(changed) === compact(body),
          timestamp: text === timestamp,
          // The list still contains the complete signature.
          signature: ` ${text} `
            .replaceAll(',v1,', ' v1,')
            .match(/[^ ,]+,[^ ,]+(?=[ ,])/g)
            ?.includes(signature),
        }[part]
        const accepted = verify({ [part]: part === 'body' ? changed : text })
        expect(accepted !== null).toBe(harmless ?? false)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('the signature header', () => {
  const check = (header: string) => verifySignature([SECRET], header, TIMESTAMP, BODY)
  const wrong = sign(TIMESTAMP, 'something else')

  test('can contain several signatures, separated by commas or spaces', () => {
    expect(check(`${wrong}, ${SIGNATURE}`)).toBe(token(SIGNATURE))
    expect(check(`${SIGNATURE}, ${wrong}`)).toBe(token(SIGNATURE))
    expect(check(`${wrong} ${SIGNATURE}`)).toBe(token(SIGNATURE))
    expect(check(`${wrong}, ${wrong}`)).toBeNull()
    // The relay skips unknown versions.
    expect(check(`v2,${token(wrong)}, ${SIGNATURE}`)).toBe(token(SIGNATURE))
  })

  test.each([
    ...['', 'v1', 'v1,', 'v1, ', ',', token(SIGNATURE)],
    ...['v1=', 'xv1,', 'v1a,', 'v2,', 'V1,'].map(version => version + token(SIGNATURE)),
  ])('with the value %j is refused', header => {
    expect(check(header)).toBeNull()
  })

  test('must have the exact base64 form that Port sends', () => {
    const base64 = token(SIGNATURE)
    const last = base64.at(-2)!
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
    const sameBytes = `${base64.slice(0, -2)}${alphabet[alphabet.indexOf(last) ^ 1]}=`
    expect(Buffer.from(sameBytes, 'base64')).toEqual(Buffer.from(base64, 'base64'))
    for (const spelling of [
      sameBytes,
      base64.slice(0, -1),
      `${base64}=`,
      base64.replaceAll('+', '-').replaceAll('/', '_').replace('=', ''),
      Buffer.from(base64, 'base64').toString('hex'),
    ]) {
      expect(check(`v1,${spelling}`), spelling).toBeNull()
    }
  })
})

test('white space outside strings is the only difference between any JSON and its compact form', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(' ', '\t', 2), (value, indent) => {
      const pretty = Buffer.from(JSON.stringify(value, null, indent))
      expect(Buffer.from(withoutWhitespace(pretty)).toString()).toBe(JSON.stringify(value))
    }),
    { numRuns: 1000 },
  )
})

/** Removes white space outside strings. This implementation is independent of the relay's code. */
function compact(json: Uint8Array): string {
  return Buffer.from(json)
    .toString('latin1')
    .replace(/("(?:\\.|[^"\\])*(?:"|\\?$))|[ \t\r\n]+/gs, '$1')
}

const LEAST = { PORT_CLIENT_SECRET: 's', GITHUB_TOKEN: 't' }

test.each<[list: string, allowed: string[], refused: string[]]>([
  ['acme/[!s]*', ['acme/web'], ['acme/secret']],
  ['acme/[^s]*', ['acme/web'], ['acme/secret']],
  // GitHub compares names case-insensitively.
  [
    'Acme/*, *-corp/Infra, !acme/x, acme/.github',
    ['acme/Shop', 'ACME/.github', 'big-CORP/infra'],
    ['big-corp/other', 'acme2/shop', 'acme/X'],
  ],
])('RELAY_ALLOWED_REPOSITORIES=%s allows %j but not %j', async (list, allowed, refused) => {
  const env = { RELAY_REPOSITORY: '', RELAY_ALLOWED_REPOSITORIES: list }
  const relay = await openReceiving({ env })
  for (const repository of [...allowed, ...refused]) {
    const { status } = await relay.post({ body: { list, github: { repository } } })
    expect([repository, status]).toEqual([repository, allowed.includes(repository) ? 202 : 403])
  }
})

const nowhere = 'matches no repository'
const within = 'has a "!" within braces'
test.each<[list: string, glob: string, problem: string]>([
  ['{acme/*,!acme/secret}', '{acme/*,!acme/secret}', within],
  ['acme/{a,{b,c},!d}', 'acme/{a,{b,c},!d}', within],
  ['acme/*, !', '!', nowhere],
  ['acme', 'acme', nowhere],
  ['*', '*', nowhere],
  ['!!acme/*', '!!acme/*', nowhere],
  ['acme/*,!secret', '!secret', nowhere],
  ['https://github.com/acme/*', 'https://github.com/acme/*', nowhere],
  ['acme/shop/', 'acme/shop/', nowhere],
  ['acme/*,!acme/secret.git', '!acme/secret.git', nowhere],
  ['acme/shop acme/web', 'acme/shop acme/web', nowhere],
  ['acme/[s', 'acme/[s', `isn't a glob: Missing closing: "]"`],
])('the relay refuses to start with RELAY_ALLOWED_REPOSITORIES=%s', (list, glob, problem) => {
  expect(configProblems({ ...LEAST, RELAY_ALLOWED_REPOSITORIES: list })).toEqual([
    expect.stringContaining(`RELAY_ALLOWED_REPOSITORIES ${JSON.stringify(glob)} ${problem}`),
  ])
})

test('refuses to start if RELAY_ALLOWED_REPOSITORIES consists of exclusions', () => {
  const env = {
    ...LEAST,
    RELAY_ALLOWED_REPOSITORIES: '!acme/secret, !acme/[!s]*',
    RELAY_REPOSITORY: 'acme/shop',
  }
  expect(configProblems(env)).toEqual([expect.stringContaining('only excludes names')])
})

test.each<[list: string, allowed: string[]]>([
  ['acme/{shop,{a,b}}, other/*', ['acme/{shop,{a,b}}', 'other/*']],
  ['acme/shop\nacme/web\r\n', ['acme/shop', 'acme/web']],
  ['*/*, acme/!(secret), {!(evil),x}/y', ['*/*', 'acme/!(secret)', '{!(evil),x}/y']],
  ['{acme/shop,other/x}, acme/@(a|b)', ['{acme/shop,other/x}', 'acme/@(a|b)']],
])('splits the list %j at commas and line breaks, but not within braces', (list, allowed) => {
  const config = readConfig({ ...LEAST, RELAY_ALLOWED_REPOSITORIES: list })
  expect(config.targets.allowed).toEqual(allowed)
})
