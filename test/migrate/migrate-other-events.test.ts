import { expect, test } from 'vitest'
import { migrateWorkflow } from '../../relay/commands/migrate/migrate-workflow.ts'
import { playWorkflow } from '../support/player/play-workflow.ts'
import { beforeOf } from './play-case.ts'

test('a workflow that a push starts too runs there without the action, and sends nothing', async () => {
  const before = beforeOf('bulk').replace('on:\n', 'on:\n  push:\n')
  const { text, findings } = migrateWorkflow(before, {
    eventType: 'act',
    action: 'org/port-webhook-action@v1',
    credentials: false,
    keepLogs: false,
    together: [],
  })
  expect(findings.map(({ message }) => message).join('\n')).toContain('push starts it too')
  const played = await playWorkflow({
    yaml: text,
    event: { name: 'push', payload: { ref: 'refs/heads/main' } },
    repository: 'acme/shop',
  })
  expect(played.conclusion).toBe('success')
  expect(played.jobs[0]!.steps.find(({ id }) => id === 'port')).toMatchObject({ conclusion: 'skipped' })
})
