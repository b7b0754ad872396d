import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Most of a test's time is waiting, for processes and clocks: more files at once than there are cores.
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    coverage: {
      provider: 'v8',
      autoAttachSubprocess: true,
      include: ['relay/**/*.ts', 'action/**/*.ts', 'port/**/*.ts'],
      exclude: ['**/dist/**'],
      reporter: ['text', 'json-summary'],
    },
  },
})
