import { expect, test } from 'vitest'
import { migrateWorkflow } from '../../relay/commands/migrate/migrate-workflow.ts'
import type { MigrateOptions } from '../../relay/commands/migrate/types.ts'
import { playWorkflow } from '../support/player/play-workflow.ts'
import { CASES } from './cases.ts'
import { beforeOf, playByHand } from './play-case.ts'

const OPTIONS: MigrateOptions = {
  eventType: 'act',
  action: 'org/port-webhook-action@v1',
  credentials: false,
  keepLogs: false,
}

test('a workflow that a push starts too runs there without the action, and sends nothing', async () => {
  const before = beforeOf('bulk').replace('on:\n', 'on:\n  push:\n')
  const { text, findings } = migrateWorkflow(before, OPTIONS)
  expect(findings.map(({ message }) => message).join('\n')).toContain('push starts it too')
  const played = await playWorkflow({
    yaml: text,
    event: { name: 'push', payload: { ref: 'refs/heads/main' } },
    repository: 'acme/shop',
  })
  expect(played.conclusion).toBe('success')
  expect(played.jobs[0]!.steps.find(({ id }) => id === 'port')).toMatchObject({ conclusion: 'skipped' })
})

test.each([
  'upsert-in-the-middle',
  'upsert-conditional',
  'upsert-always',
  'several-jobs',
  'matrix',
  'red-from-green',
  'own-link',
  'label-and-summary',
  'curl',
])('the workflow %s does its work when a person starts it on GitHub, and sends nothing', async name => {
  const each = CASES.find(one => one.name === name && one.on !== 'repository_dispatch' && !one.broken)!
  const { calls, end, entities, links, log } = await playByHand(each)
  expect({ calls, end, entities, links, log }).toEqual({
    calls: [...each.calls].sort(),
    end: 'SUCCESS',
    entities: [],
    links: [],
    log: '',
  })
})

const CONDITIONS: [string, string[], string][] = [
  ['a person', ['workflow_dispatch: {}'], '${{ inputs.port }}'],
  ['a person or a push', ['workflow_dispatch: {}', 'push: {}'], '${{ inputs.port }}'],
  [
    'another workflow',
    ['workflow_call: {}'],
    '${{ github.event.inputs.port || github.event.client_payload }}',
  ],
  [
    'an event too',
    ['workflow_dispatch: {}', 'repository_dispatch: {}'],
    '${{ github.event.inputs.port || github.event.client_payload }}',
  ],
  [
    'an event or another workflow',
    ['repository_dispatch: {}', 'workflow_call: {}'],
    '${{ github.event.client_payload }}',
  ],
]

test.each(CONDITIONS)(
  'the action runs for Port alone where %s may start the workflow',
  (_, events, condition) => {
    const on = `on: { ${events.join(', ')} }\njobs`
    const before = beforeOf('bulk').replace(/on:[\s\S]*?\njobs/, on)
    const { text } = migrateWorkflow(before, OPTIONS)
    expect(text).toContain(`        id: port\n        if: ${condition}\n`)
    expect(migrateWorkflow(text, OPTIONS).text).toBe(text)
  },
)
