import { expect, test } from 'vitest'
import { countedJobs } from '../../action/conclusion.ts'

// Tests how the final status is determined. outcomes.test.ts covers whole jobs.

test.each<[string, Record<string, string>, Record<string, string>, string[]]>([
  [
    'all jobs in needs were skipped after another job failed',
    { deploy: 'skipped' },
    { build: 'failure', lint: 'success', 'test (22)': 'cancelled' },
    ['build', 'test (22)', 'deploy'],
  ],
  [
    'only some of the jobs in needs were skipped',
    { test: 'success', prod: 'skipped' },
    { 'test (nightly)': 'failure' },
    ['test', 'prod'],
  ],
  ['no job was skipped', { deploy: 'success' }, { lint: 'failure' }, ['deploy']],
  ['needs is empty', {}, { lint: 'failure' }, []],
])('counts the relevant jobs if %s', (_, needs, others, counted) => {
  expect(Object.keys(countedJobs(needs, others))).toEqual(counted)
})
