import { expect, test } from 'vitest'
import { findRun } from '../../relay/deliveries/find-run.ts'
import type { WorkflowRun } from '../../relay/github/client.ts'
import type { Delivery } from '../../relay/store/delivery.ts'

const SENT = Date.parse('2026-11-01T10:00:00Z')

/** Looks for the run of `r_2`, sent a second after another delivery of its event type went out at `before`. */
async function look(title: string, before: number | null): Promise<unknown> {
  const delivery = {
    id: 'd-2',
    runId: 'r_2',
    repository: 'acme/shop',
    eventType: 'deploy',
    sentAt: SENT,
    githubRunId: null,
  } as Delivery
  const other = { ...delivery, id: 'd-1', runId: 'r_1', sentAt: null, dispatchedAt: before }
  const run = { id: 7, title, event: 'repository_dispatch', createdAt: SENT - 1000 } as WorkflowRun
  return findRun(delivery, {
    github: { listRuns: async () => [run] },
    store: { list: async () => [delivery, ...(before === null ? [] : [other])] },
    externalRunId: async () => null,
  })
}
const found = { found: 7, by: 'GitHub lists it' }
const nothing = { found: undefined, looked: true }

test('a run that is named by the Port run is evidence, whatever else went out', async () => {
  expect(await look('deploy r_2', SENT - 1000)).toEqual(found)
  expect(await look('deploy r_1', SENT - 1000)).toEqual(nothing)
  expect(await look('deploy r_20', SENT - 1000)).toEqual(nothing)
})

test('a run that is named by the event type alone is evidence only where no other delivery can be behind it', async () => {
  expect(await look('deploy', null)).toEqual(found)
  expect(await look('deploy', SENT - 3_600_000)).toEqual(found)
  expect(await look('deploy', SENT - 1000)).toEqual(nothing)
})
