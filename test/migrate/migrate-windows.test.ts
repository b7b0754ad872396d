import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { migrateWorkflow } from '../../relay/commands/migrate/migrate-workflow.ts'
import { beforeOf } from './play-case.ts'

test.each([
  ['ubuntu-latest', undefined],
  ['[self-hosted, linux]', undefined],
  ['{ group: large, labels: linux }', undefined],
  ['{ group: large, labels: [linux, x64] }', undefined],
  ['[self-hosted, macOS]', undefined],
  ['[self-hosted, "${{ matrix.os }}", Linux]', undefined],
  ['[self-hosted, win2022, prod]', 'bash'],
  ['self-hosted', 'bash'],
  ['windows-2025', 'bash'],
  ['[self-hosted, Windows]', 'bash'],
  ['{ group: large, labels: windows }', 'bash'],
  ['{ group: large, labels: [x64, windows] }', 'bash'],
  ['{ group: large }', 'bash'],
  ['${{ matrix.os }}', 'bash'],
  ['[self-hosted, "${{ matrix.os }}"]', 'bash'],
  ['{ group: "${{ vars.GROUP }}", labels: "${{ vars.LABEL }}" }', 'bash'],
  ['${{ vars.RUNNER }}\n    container: alpine', undefined],
])('on runs-on: %s a step that reports has the shell %s', (runsOn, shell) => {
  const before = beforeOf('bulk').replace('runs-on: ubuntu-latest', `runs-on: ${runsOn}`)
  const { text } = migrateWorkflow(before, {
    eventType: 'act',
    action: 'org/port-webhook-action@v1',
    credentials: false,
    keepLogs: false,
  })
  const [job] = Object.values(parse(text).jobs) as { steps: { run?: string; shell?: string }[] }[]
  const reporting = job!.steps.find(({ run }) => run?.includes('PORT_ENTITIES'))
  expect(reporting?.shell).toBe(shell)
})
