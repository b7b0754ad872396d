import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { migrate } from '../../relay/commands/migrate.ts'
import { run as runCommand } from '../support/run-command.ts'
import { beforeOf, migrated } from './play-case.ts'

const root = join(import.meta.dirname, '../..')
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'migrate-command-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
})

/** Runs the command with files of the folder; what it prints names them as they were given. */
async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const given = args.map(arg => (arg.endsWith('.yml') ? join(folder, arg) : arg))
  const { code, stdout, stderr } = await runCommand(migrate, given)
  const own = (text: string) => text.replaceAll(`${folder}/`, '')
  return { code, stdout: stdout && own(`${stdout}\n`), stderr: own(stderr) }
}

function file(name: string, as = `${name}.yml`): string {
  copyFileSync(join(root, `test/fixtures/migrate/cases/${name}.before.yml`), join(folder, as))
  return as
}

test('it prints the rewritten workflow, and what needs a look with file and line', async () => {
  const { code, stdout, stderr } = await run(file('entities-read'))
  expect(code).toBe(0)
  expect(stdout).toBe(migrated({ name: 'entities-read' }).text)
  expect(stderr).toContain('entities-read.yml:15: todo: GET reads entities from Port')
  expect(readFileSync(join(folder, 'entities-read.yml'), 'utf8')).toBe(beforeOf('entities-read'))
})

test('--write writes the files, and a second time finds nothing to change', async () => {
  const files = [file('reusable'), file('called')]
  const first = await run('--write', ...files)
  expect(first).toMatchObject({ code: 0, stdout: 'reusable.yml: rewritten\ncalled.yml: rewritten\n' })
  expect(readFileSync(join(folder, 'reusable.yml'), 'utf8')).toBe(migrated({ name: 'reusable' }).text)
  const second = await run('--write', ...files)
  expect(second).toMatchObject({ code: 0, stdout: 'reusable.yml: unchanged\ncalled.yml: unchanged\n' })
})

test('--json prints texts and findings', async () => {
  const { code, stdout } = await run(
    '--json',
    '--on',
    'repository_dispatch',
    '--event-type',
    'scale',
    file('booleans'),
  )
  expect(code).toBe(0)
  const { files } = JSON.parse(stdout)
  expect(files).toMatchObject([{ file: 'booleans.yml', changed: true }])
  expect(files[0].workflow).toContain('types: [scale]')
  expect(files[0].findings).toContainEqual({
    line: 26,
    level: 'check',
    message: expect.stringContaining('the boolean dry_run is compared as text'),
  })
})

test('--credentials keeps the client id and secret of the workflow, and its permissions', async () => {
  const { stdout } = await run('--credentials', file('bulk'))
  expect(stdout).toContain('port-client-id: ${{ secrets.PORT_CLIENT_ID }}')
  expect(stdout).not.toContain('permissions')
})

test('--keep-logs keeps log messages of fixed text', async () => {
  expect((await run(file('called', 'a.yml'))).stdout).not.toContain('Publishing')
  expect((await run('--keep-logs', file('called', 'b.yml'))).stdout).toContain('MESSAGE: Publishing')
})

test.each([
  [[], 'migrate needs a FILE'],
  [['--on', 'push', 'a.yml'], '--on must be workflow_dispatch or repository_dispatch'],
  [['--event-type', 'a]b', 'a.yml'], '--event-type must be'],
  [['--action', 'x', 'a.yml'], '--action must be OWNER/NAME@VERSION'],
  [['--nope'], 'migrate has no option --nope'],
])('wrong arguments %j are one sentence, with exit code 2', async (args, sentence) => {
  const { code, stdout, stderr } = await run(...args)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain(sentence)
  expect(stderr.trim().split('\n')).toHaveLength(1)
})

test.each([
  ['missing.yml', null, 'missing.yml cannot be migrated: ENOENT'],
  ['action.yml', 'runs: { using: node24 }\n', 'it is no workflow: it has no jobs'],
  ['broken.yml', 'jobs: [\n', 'it is not YAML'],
  [
    'refused.yml',
    beforeOf('bulk').replace('ubuntu-latest', '{ a: 1 }'),
    "GitHub's parser refuses it as it is",
  ],
])('%s is a sentence, with exit code 1', async (name, text, sentence) => {
  if (text !== null) writeFileSync(join(folder, name), text)
  const { code, stderr } = await run(name)
  expect(code).toBe(1)
  expect(stderr).toContain(sentence)
})

test('--help names each option', async () => {
  const { code, stdout } = await run('--help')
  expect(code).toBe(0)
  for (const option of ['write', 'on', 'event-type', 'credentials', 'keep-logs', 'action', 'json'])
    expect(stdout).toContain(`--${option}`)
})

test.each([
  [
    'an input port of its own',
    'upsert-on-failure',
    (text: string) => text.replace('inputs:\n', 'inputs:\n      port:\n        type: string\n'),
    'it has an input port of its own',
  ],
  [
    'no report',
    'bulk',
    (text: string) =>
      text
        .replace(/ {6}- name: Write the packages[\s\S]*/, '')
        .replace(/ {6}port_context:\n(?: {8}.*\n)+/, '      x:\n        type: string\n'),
    'nothing in it reports to Port',
  ],
  [
    'no start by Port',
    'bulk',
    (text: string) => text.replace(/on:[\s\S]*?\njobs/, 'on: push\njobs'),
    'Port does not start it',
  ],
])('a workflow with %s stays as it is, and the reason is told', async (_, name, change, reason) => {
  const text = change(beforeOf(name))
  writeFileSync(join(folder, 'own.yml'), text)
  const { code, stdout, stderr } = await run('own.yml')
  expect({ code, stdout }).toEqual({ code: 0, stdout: text })
  expect(stderr).toContain(reason)
})

test('line ends of Windows stay', async () => {
  writeFileSync(join(folder, 'own.yml'), beforeOf('bulk').replaceAll('\n', '\r\n'))
  const { stdout } = await run('own.yml')
  expect(stdout).toBe(migrated({ name: 'bulk' }).text.replaceAll('\n', '\r\n'))
})
