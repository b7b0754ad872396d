import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { ConfigError, readConfig } from '../../relay/config/config.ts'

type Env = Record<string, string>
const LEAST = { PORT_CLIENT_SECRET: 'port secret', GITHUB_TOKEN: 'gh token' }
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const PKCS1 = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()
const PKCS8 = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

/** Of those that are not any text. */
const VALUES: Env = {
  PORT_WEBHOOK_SECRETS: 'rotation:our-older-secret',
  GITHUB_TOKEN: 'a token',
  RELAY_ADMIN_TOKEN: 'a token of some length',
  RELAY_DATABASE: 'sqlite:/x',
}

const files = (contents: Env) => (path: string) => {
  if (contents[path] === undefined) throw Object.assign(new Error('no'), { code: 'ENOENT' })
  return contents[path]
}
const read = (env: Env, contents: Env = {}) => readConfig({ ...LEAST, ...env }, files(contents))

/** Every problem of an environment. */
function problems(env: Env, contents: Env = {}): string[] {
  try {
    readConfig(env, files(contents))
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

describe('a secret from a file', () => {
  const names = [
    'PORT_CLIENT_SECRET',
    'PORT_WEBHOOK_SECRETS',
    'GITHUB_TOKEN',
    'GITHUB_WEBHOOK_SECRET',
    'RELAY_ADMIN_TOKEN',
    'RELAY_DATABASE',
  ]
  test.each(names)('%s_FILE is read, without its last line break', name => {
    const value = VALUES[name] ?? 'a secret of some length '
    const { [name as 'GITHUB_TOKEN']: _, ...rest } = LEAST
    const inFile = readConfig({ ...rest, [`${name}_FILE`]: '/f' }, files({ '/f': `${value}\n` }))
    expect(inFile).toEqual(readConfig({ ...LEAST, [name]: value }))
  })

  test('an App key is read from a file as well', () => {
    const env = { PORT_CLIENT_SECRET: 's', GITHUB_APP_ID: '1', GITHUB_APP_PRIVATE_KEY_FILE: '/k' }
    expect(readConfig(env, files({ '/k': PKCS1 })).github.auth).toEqual({ appId: '1', privateKey: PKCS8 })
  })

  test.each(['  \n', '\t', '\ufeff\r\n', ''])('that is %j is reported as empty', text => {
    const env = { ...LEAST, PORT_CLIENT_SECRET: '', PORT_CLIENT_SECRET_FILE: '/f' }
    expect(problems(env, { '/f': text })).toEqual(['PORT_CLIENT_SECRET_FILE: /f is empty'])
  })

  test('loses the byte order mark and the line breaks that an editor or a shell puts around it', () => {
    const env = { GITHUB_TOKEN: 't', PORT_CLIENT_SECRET_FILE: '/f' }
    const { port } = readConfig(env, files({ '/f': '\ufeff a secret \r\n\n' }))
    expect(port.clientSecret).toBe(' a secret ')
    expect(read({ PORT_CLIENT_SECRET: 'a secret\n' }).port.clientSecret).toBe('a secret')
  })

  test('holds several webhook secrets, one a line or separated by commas, as the variable does', () => {
    const three = 'one\ntwo, three\r\n\n'
    const inFile = read({ PORT_WEBHOOK_SECRETS_FILE: '/f' }, { '/f': three }).organizations
    expect(inFile).toEqual(read({ PORT_WEBHOOK_SECRETS: three }).organizations)
    expect(inFile.map(({ secrets }) => secrets)).toEqual([['port secret'], ['one', 'two', 'three']])
  })

  test('that cannot be read, is empty, or stands beside the variable is a problem', () => {
    const env = { GITHUB_TOKEN: 't', PORT_CLIENT_SECRET_FILE: '/missing' }
    expect(problems(env)).toEqual(['PORT_CLIENT_SECRET_FILE: /missing cannot be read (ENOENT)'])
    expect(problems({ ...LEAST, GITHUB_TOKEN_FILE: '/f' }, { '/f': 'x' })).toEqual([
      'GITHUB_TOKEN and GITHUB_TOKEN_FILE are both set: keep one',
    ])
  })

  test.each([
    ...[
      'GITHUB_TOKEN',
      'GITHUB_APP_PRIVATE_KEY',
      'RELAY_ADMIN_TOKEN',
      'RELAY_DATABASE',
      'PORT_WEBHOOK_SECRETS',
    ],
  ])('%s_FILE that cannot be read, or is empty, is one problem', name => {
    const env: Env = { ...LEAST, [`${name}_FILE`]: '/f' }
    if (name.startsWith('GITHUB_')) env.GITHUB_TOKEN = ''
    if (name === 'GITHUB_APP_PRIVATE_KEY') env.GITHUB_APP_ID = '1'
    expect(problems(env)).toEqual([`${name}_FILE: /f cannot be read (ENOENT)`])
    expect(problems(env, { '/f': '\n' })).toEqual([`${name}_FILE: /f is empty`])
  })
})

describe('the organizations', () => {
  const PORT_CLIENT_ID = 'our-client-id'

  test('are that of PORT_CLIENT_SECRET, with its rotations, those with a client id, and plain secrets', () => {
    const entries = [
      'rotation:our-older-secret',
      'secret-that-verifies',
      'their-client-id:secret-of-theirs',
      'another:theirs:too',
      'their-client-id:newer-secret-of-theirs',
    ]
    const { organizations } = read({ PORT_CLIENT_ID, PORT_WEBHOOK_SECRETS: entries.join(',') })
    expect(organizations).toEqual([
      { id: 'default', clientId: PORT_CLIENT_ID, secrets: ['port secret', 'our-older-secret'] },
      { id: 'unreported', clientId: null, secrets: ['secret-that-verifies'] },
      {
        id: 'their-client-id',
        clientId: 'their-client-id',
        secrets: ['secret-of-theirs', 'newer-secret-of-theirs'],
      },
      { id: 'another', clientId: 'another', secrets: ['theirs:too'] },
    ])
  })

  test('without PORT_CLIENT_ID the first reports nothing', () => {
    expect(read({}).organizations).toEqual([{ id: 'default', clientId: null, secrets: ['port secret'] }])
  })

  const prefix = 'must begin with rotation: or with a client id of Port and a colon, or hold a secret alone'
  const same =
    'PORT_WEBHOOK_SECRETS names one secret for two organizations: a webhook signed with it cannot be attributed to one of them'
  const incomplete =
    'must be rotation:SECRET, CLIENT_ID:SECRET or SECRET; a secret alone has no white space, colon or #'
  test.each([
    ...[
      'rotation',
      'rotation:',
      'their-client-id:',
      ':secret-of-another',
      'rotation: secret-of-another',
      'their.client.id:secret-of-another',
      '# the organization of the others',
      '#secret-of-another',
    ].map(entry => [`secret-number-one,${entry}`, `PORT_WEBHOOK_SECRETS, entry 2, ${incomplete}`]),
    ['secret-number-one,rotaton:secret-of-another', `PORT_WEBHOOK_SECRETS, entry 2, ${prefix}`],
    ['default:secret-of-another', `PORT_WEBHOOK_SECRETS, entry 1, ${prefix}`],
    [
      `${PORT_CLIENT_ID}:secret-of-another`,
      'PORT_WEBHOOK_SECRETS, entry 1, names the client id of PORT_CLIENT_ID: write rotation: in front of a further secret of that organization',
    ],
    ['theirs:secret-of-theirs,secret-of-theirs', same],
    ['secret-of-ours-now', same],
  ])('with %j are a problem, reported without a secret', (text, problem) => {
    const PORT_CLIENT_SECRET = 'secret-of-ours-now'
    const env = { ...LEAST, PORT_CLIENT_ID, PORT_CLIENT_SECRET, PORT_WEBHOOK_SECRETS: text }
    expect(problems(env)).toEqual([problem])
  })
})
