import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { text } from '../docs/pages.ts'
import { temporaryFolder } from '../support/relay.ts'

const root = join(import.meta.dirname, '../..')
const rename = join(root, 'scripts/rename.ts')
const repository = parse(text('package.json')).repository.url.replace(/.*com\/|\.git/g, '')
const owner = repository.split('/')[0]

test('npm run rename writes the publishing account into every file, and can be repeated', () => {
  const cwd = temporaryFolder()
  const git = (...args: string[]) =>
    spawnSync('git', args, { cwd, encoding: 'utf8' }).stdout.trim().split('\n').filter(Boolean)
  const pattern = `\\b${owner}(/port-webhook-|\\.github\\.io)|--owner ${owner}\\b`
  const named = execFileSync('git', ['grep', '-lIE', pattern], { cwd: root, encoding: 'utf8' })
  for (const file of named.trim().split('\n')) cpSync(join(root, file), join(cwd, file))
  git('init')
  git('add', '.')
  const run = (name: string) => spawnSync(process.execPath, [rename, name], { cwd, encoding: 'utf8' })
  expect(run('Acme-Inc').stdout).toMatch(new RegExp(`^${owner} is now Acme-Inc in \\d\\d files`))
  expect(git('grep', '-nE', pattern)).toEqual([])
  const images = git('grep', '-hoE', 'ghcr.io/[^/]+/port')
  expect(new Set(images)).toEqual(new Set(['ghcr.io/acme-inc/port']))
  run(owner)
  expect(git('diff')).toEqual([])
  expect(run('not/an owner')).toMatchObject({ status: 2, stderr: expect.stringContaining('Usage') })
})
