import { expect, test } from 'vitest'
import { readConfig } from '../../relay/config/config.ts'
import { configProblems } from '../support/config-problems.ts'
import { openReceiving } from '../support/receiving.ts'

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

const nowhere = 'matches no repository: it must have the form owner/name without .git, such as acme/* or */*'
const within =
  'has a "!" within braces, which excludes nothing: write the exclusion as a separate glob, such as !acme/secret'
const rows: [list: string, glob: string, problem: string][] = [
  ['{acme/*,!acme/secret}', '{acme/*,!acme/secret}', within],
  ['acme/{!secret,shop}', 'acme/{!secret,shop}', within],
  ['acme/{a,{b,c},!d}', 'acme/{a,{b,c},!d}', within],
  ['acme/*, !', '!', nowhere],
  ['acme', 'acme', nowhere],
  ['*', '*', nowhere],
  ['acme**', 'acme**', nowhere],
  ['!!acme/*', '!!acme/*', nowhere],
  ['acme/*,!secret', '!secret', nowhere],
  ['https://github.com/acme/*', 'https://github.com/acme/*', nowhere],
  ['acme/shop/', 'acme/shop/', nowhere],
  ['/acme/*', '/acme/*', nowhere],
  ['acme/*,!acme/secret.git', '!acme/secret.git', nowhere],
  ['acme/shop acme/web', 'acme/shop acme/web', nowhere],
  ['{acme,evil}', '{acme,evil}', nowhere],
  ['acme/[s', 'acme/[s', `isn't a glob: Missing closing: "]" - use "\\\\]" to match literal characters`],
  [
    'acme/{shop',
    'acme/{shop',
    `isn't a glob: Missing closing: "}" - use "\\\\}" to match literal characters`,
  ],
]
test.each(rows)('the relay refuses to start with RELAY_ALLOWED_REPOSITORIES=%s', (list, glob, problem) => {
  expect(configProblems({ ...LEAST, RELAY_ALLOWED_REPOSITORIES: list })).toEqual([
    `RELAY_ALLOWED_REPOSITORIES ${JSON.stringify(glob)} ${problem}`,
  ])
})

test.each(['!acme/secret', '!acme/secret, !acme/[!s]*'])(
  'refuses to start if RELAY_ALLOWED_REPOSITORIES=%s only excludes repositories',
  list => {
    const env = { ...LEAST, RELAY_ALLOWED_REPOSITORIES: list, RELAY_REPOSITORY: 'acme/shop' }
    expect(configProblems(env)).toEqual([
      'RELAY_ALLOWED_REPOSITORIES only excludes names: add a glob that includes names, such as */*',
    ])
  },
)

const lists: [string, string[]][] = [
  ['acme/{shop,{a,b}}, other/*', ['acme/{shop,{a,b}}', 'other/*']],
  ['acme/shop\nacme/web\r\n', ['acme/shop', 'acme/web']],
  ['**, !acme/secret', ['**', '!acme/secret']],
  ['*/*, acme/!(secret), {!(evil),x}/y', ['*/*', 'acme/!(secret)', '{!(evil),x}/y']],
  ['{acme/shop,other/x}, acme/@(a|b)', ['{acme/shop,other/x}', 'acme/@(a|b)']],
]
test.each(lists)('splits the list %j at commas and line breaks, but not within braces', (list, allowed) => {
  const config = readConfig({ ...LEAST, RELAY_ALLOWED_REPOSITORIES: list })
  expect(config.targets.allowed).toEqual(allowed)
})
