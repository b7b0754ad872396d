import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { text } from '../docs/pages.ts'
import { temporaryFolder } from '../support/relay.ts'

const root = join(import.meta.dirname, '../..')
const rename = join(root, 'scripts/rename.ts')

test('npm run rename writes the publishing account into every file, and can be repeated', () => {
  const cwd = temporaryFolder()
  const git = (...args: string[]) =>
    spawnSync('git', args, { cwd, encoding: 'utf8' }).stdout.trim().split('\n').filter(Boolean)
  const pattern = '\\borg(/port-webhook-|\\.github\\.io)|--owner org\\b'
  const files = ['--', ':!test/deploy/rename.test.ts']
  const named = execFileSync('git', ['grep', '-lIE', pattern, ...files], { cwd: root, encoding: 'utf8' })
  for (const file of named.trim().split('\n')) cpSync(join(root, file), join(cwd, file))
  git('init')
  git('add', '.')
  const run = (owner: string) => spawnSync(process.execPath, [rename, owner], { cwd, encoding: 'utf8' })
  expect(run('Acme-Inc').stdout).toMatch(/^org is now Acme-Inc in \d\d files/)
  expect(git('grep', '-nE', pattern)).toEqual([])
  const images = git('grep', '-hoE', 'ghcr.io/[^/]+/port')
  expect(new Set(images)).toEqual(new Set(['ghcr.io/acme-inc/port']))
  run('org')
  expect(git('diff')).toEqual([])
  expect(run('not/an owner')).toMatchObject({ status: 2, stderr: expect.stringContaining('Usage') })
})

test('a release fails if the account differs from the account in the files, and prints the command to run', () => {
  const { check } = parse(text('.github/workflows/release.yml')).jobs
  const { run } = check.steps.find(({ name }: { name: string }) => name?.includes('account'))
  const tryAs = (GITHUB_REPOSITORY: string) =>
    spawnSync('bash', ['-ec', run], {
      ...{ cwd: root, encoding: 'utf8' },
      env: { ...process.env, GITHUB_REPOSITORY, GITHUB_REPOSITORY_OWNER: GITHUB_REPOSITORY.split('/')[0] },
    })
  expect(tryAs('acme/port-webhook-action')).toMatchObject({
    status: 1,
    stdout: expect.stringContaining('npm run rename acme'),
  })
  expect(tryAs(parse(text('package.json')).repository.url.replace(/.*com\/|\.git/g, '')).status).toBe(0)
})
