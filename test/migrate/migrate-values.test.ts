import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Report } from '../../relay/commands/migrate/port-step.ts'
import { writeReports } from '../../relay/commands/migrate/write-step.ts'
import { temporaryFolder } from '../support/relay.ts'
import { playAfter } from './play-case.ts'

test.each([
  'x", "blueprint": "user',
  "it's $(touch /tmp/never) `touch /tmp/never`",
  'two\nlines\n---\nblueprint: user',
  '${{ github.token }} \\ "\t"',
])('an entity holds what a person typed as one text: %j', async version => {
  const { entities, log } = await playAfter({
    name: 'upsert-in-the-middle',
    inputs: { version, environment: 'prod' },
    end: 'SUCCESS',
    calls: [],
  })
  expect(entities).toHaveLength(1)
  expect(entities).toMatchObject([{ blueprint: 'deployment', properties: { version, attempt: 1 } }])
  expect(log).toContain(version.split('\n')[0])
})

const TYPED = 'a\r\nconclusion=failure\n"b"'

test.each<[string, Report[], string]>([
  ['link', [{ kind: 'link', text: '${{ inputs.x }}' }], 'link=aconclusion=failure"b"\n'],
  ['label', [{ kind: 'status-label', text: 'At ${{ inputs.x }}' }], 'status-label=aconclusion=failure"b"\n'],
  [
    'identifier',
    [{ kind: 'entity', json: '{}', identifier: '${{ inputs.x }}' }],
    'identifier=aconclusion=failure"b"\n',
  ],
])('a %s holds what a person typed on one line', (_, reports, written) => {
  const { env, script } = writeReports(reports, true, false)
  const folder = temporaryFolder()
  const file = (name: string) => join(folder, name)
  execFileSync('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', script.join('\n')], {
    env: {
      PATH: process.env.PATH,
      ...Object.fromEntries(env.map(([name]) => [name, TYPED])),
      PORT_RUN: file('out'),
      GITHUB_OUTPUT: file('out'),
      PORT_ENTITIES: file('entities'),
    },
  })
  expect(readFileSync(file('out'), 'utf8')).toBe(written)
})
