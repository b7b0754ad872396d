import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { migrate } from '../../cli/migrate.ts'
import { temporaryFolder } from '../support/relay.ts'
import { run } from '../support/run-command.ts'

const root = join(import.meta.dirname, '../..')
const text = (name: string) => readFileSync(join(root, 'test/fixtures/migrate/workflows', name), 'utf8')
/** Each golden file ends with its remarks. */
const golden = (name: string) => text(name).replace(/(^# .*\n)+$/m, '')

function folderWith(files: Record<string, string>): string {
  const folder = temporaryFolder()
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  return folder
}

test('prints the workflow, and remarks with file and line, including one about a lockfile', async () => {
  const folder = folderWith({ 'deploy.yml': text('deploy.yml'), 'actions.lock': '' })
  const { code, stdout, stderr } = await run(migrate, [join(folder, 'deploy.yml')])
  expect({ code, stdout: `${stdout}\n` }).toEqual({ code: 0, stdout: golden('deploy.after.yml') })
  expect(stderr).toContain(`${folder}/deploy.yml:10: the job had default permissions`)
  expect(stderr).toContain(
    `${folder}/deploy.yml:1: .github/workflows/actions.lock must list the added action`,
  )
})

test('--write writes the files, a second run changes nothing, and a refused file leads to exit code 1', async () => {
  const called = { 'caller.yml': text('caller.yml'), 'called.yml': text('called.yml') }
  const folder = folderWith({ ...called, 'x.yml': 'x' })
  const files = ['caller.yml', 'called.yml'].map(name => join(folder, name))
  const { stdout } = await run(migrate, ['--write', ...files])
  expect(stdout).toBe(`${files[0]}: rewritten\n${files[1]}: rewritten`)
  expect(readFileSync(files[1]!, 'utf8')).toBe(golden('called.after.yml'))
  const again = await run(migrate, ['--write', ...files, join(folder, 'x.yml')])
  expect(again.stdout.split('\n').map(line => line.split(': ')[1])).toEqual(Array(3).fill('unchanged'))
  expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining("x.yml:1: The file isn't") })
})

test('a message names a workflow without "on:", and the other workflows are written', async () => {
  const bad = 'name: Nightly\ntrue:\n  push:\njobs:\n  a:\n    runs-on: x\n    steps: [{ run: "true" }]\n'
  const caller = `${text('deploy.yml')}  bad:\n    uses: ./.github/workflows/bad.yml\n`
  const folder = folderWith({ 'a.yml': caller, 'bad.yml': bad, 'deploy.yml': text('deploy.yml') })
  const files = ['a.yml', 'bad.yml', 'deploy.yml'].map(name => join(folder, name))
  const { code, stdout, stderr } = await run(migrate, ['--write', ...files])
  expect({ code, stdout }).toEqual({
    code: 1,
    stdout: `${files[0]}: unchanged\n${files[1]}: unchanged\n${files[2]}: rewritten`,
  })
  expect(stderr).toContain(
    `${files[0]}:1: bad.yml can't be migrated, and this workflow calls it or is called`,
  )
  expect(stderr).toContain(`${files[1]}:2: GitHub doesn't know the key "true": write "on:" instead.`)
  expect(readFileSync(join(folder, 'bad.yml'), 'utf8')).toBe(bad)
})

test('--write does not follow a link that the repository contains', async () => {
  const folder = folderWith({ 'deploy.yml': text('deploy.yml'), rc: 'alias ll=ls' })
  const file = join(folder, 'deploy.yml')
  symlinkSync(join(folder, 'rc'), `${file}.new`)
  const stderr = expect.stringContaining(`${file} can't be written (EEXIST): remove ${file}.new.`)
  expect(await run(migrate, ['--write', file])).toMatchObject({ code: 1, stderr })
  expect(readFileSync(join(folder, 'rc'), 'utf8')).toBe('alias ll=ls')
})

test.each([
  [['a.yml'], /a\.yml doesn't exist/, 1],
  [['--action', 'x', 'a.yml'], /--action must be OWNER\/NAME@VERSION, not "x"/, 2],
  [['--port-action', 'a.json', '--format', 'json'], /--format must be one of action, workflow/, 2],
])('refuses the arguments %j', async (args, message, code) => {
  const result = await run(migrate, args)
  expect(result).toEqual({ code, stdout: '', stderr: expect.stringMatching(message) })
})
