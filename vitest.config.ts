import { defineConfig } from 'vitest/config'

/** Load, attacks and kills at random, which take much time of the processor: `npm run test:load`. */
const LOAD = [
  'test/attack/{fuzz,intake,replays,reports}.test.ts',
  'test/deliveries/simulation.test.ts',
  'test/faults/faults.test.ts',
  'test/relay/kill.test.ts',
  'test/watch/{busy-hour,thousand}.test.ts',
  'test/workflow-dispatch/exact-runs.test.ts',
]

export default defineConfig({
  test: {
    // Most of a test's time is waiting, for processes and clocks: more files at once than there are cores.
    maxWorkers: 4,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    projects: [
      { extends: true, test: { name: 'tests', include: ['test/**/*.test.ts'], exclude: LOAD } },
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
