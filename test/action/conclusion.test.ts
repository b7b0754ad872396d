import { expect, test } from 'vitest'
import { conclude, countedJobs } from '../../action/conclusion.ts'

// The final status as a pure decision. outcomes.test.ts covers whole jobs.

test.each<['success' | 'failure' | 'cancelled', Record<string, string>, 'failure' | null, string]>([
  ['success', {}, null, 'success'],
  ['success', { build: 'success', lint: 'skipped' }, null, 'success'],
  ['success', { build: 'cancelled' }, null, 'cancelled'],
  ['cancelled', { build: 'failure' }, null, 'failure'],
  ['failure', { build: 'cancelled' }, null, 'failure'],
  ['success', {}, 'failure', 'failure'],
])(
  'a job with the status %s that needs %o, and the written conclusion %s: %s',
  (status, needs, written, result) => {
    expect(conclude(status, needs, written)).toBe(result)
  },
)

test.each<[string, Record<string, string>, Record<string, string>, string[]]>([
  [
    'a job before the skipped one failed',
    { deploy: 'skipped' },
    { build: 'failure', lint: 'success', 'test (22)': 'cancelled' },
    ['build', 'test (22)', 'deploy'],
  ],
  [
    'one was skipped, and a leg of another may fail',
    { test: 'success', prod: 'skipped' },
    { 'test (nightly)': 'failure' },
    ['test', 'prod'],
  ],
  ['none was skipped', { deploy: 'success' }, { lint: 'failure' }, ['deploy']],
  ['needs is empty', {}, { lint: 'failure' }, []],
])('if %s, these jobs count', (_, needs, others, counted) => {
  expect(Object.keys(countedJobs(needs, others))).toEqual(counted)
})
