import { defineConfig } from 'vitest/config'
import { COMPILE_CACHE } from './test/support/compile-cache.ts'

// For the processes and threads that tests start. What it holds says less of which lines ran.
if (!process.argv.includes('--coverage')) Object.assign(process.env, COMPILE_CACHE)

/** Attacks, faults and load, which take much time of the processor: `npm run test:load`. */
const LOAD = [
  'test/{attack,faults}/**/*.test.ts',
  'test/deliveries/simulation.test.ts',
  'test/operate/{port-away,revoked}.test.ts',
  'test/relay/kill.test.ts',
  'test/watch/{busy-hour,thousand}.test.ts',
  'test/workflow-dispatch/exact-runs.test.ts',
]

/** They change what all of a process sees, such as its sockets, or keep something open for a file: a process each. */
const ALONE = [
  'test/{invocation-target,network-error}.test.ts',
  'test/action/{progress-reporter,relay-request,send-log,start,steps}.test.ts',
  'test/github/{hostile-texts,workflow-dispatch}.test.ts',
  'test/operate/trouble.test.ts',
  'test/relay/{allow-list,signature,wait-dispatch,webhook}.test.ts',
]

export default defineConfig({
  test: {
    // Most of a test's time is waiting, for processes and clocks: more files at once than there are cores.
    maxWorkers: 6,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'tests',
          include: ['test/**/*.test.ts'],
          exclude: [...LOAD, ...ALONE],
          isolate: false,
        },
      },
      { extends: true, test: { name: 'alone', include: ALONE } },
      { extends: true, test: { name: 'load', include: LOAD } },
    ],
    coverage: {
      provider: 'v8',
      autoAttachSubprocess: true,
      include: ['relay/**/*.ts', 'action/**/*.ts', 'port/**/*.ts'],
      exclude: ['**/dist/**'],
      reporter: ['text', 'json-summary'],
    },
  },
})
