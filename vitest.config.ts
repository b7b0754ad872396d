import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { TEST_ENV } from './test/support/environment.ts'

// For the processes and threads that tests start, but not for coverage, which is less exact with cached code.
if (!process.argv.includes('--coverage')) Object.assign(process.env, TEST_ENV)

/** Attacks, faults, and load, which take much CPU time: `npm run test:load`. */
const LOAD = ['test/chaos/*.test.ts']

/**
 * The packages, the demo, `simulate`, the dashboard in Chromium, and the examples, migrated workflows, and workflows
 * like those of Port's guides: `npm run test:package`.
 */
const PACKAGE = [
  'test/{package,demo,simulate,simulate-mistakes,examples}.test.ts',
  'test/lambda/*.test.ts',
  'test/workflow-dispatch/guides.test.ts',
  'test/migrate/migrate.test.ts',
  'test/admin/dashboard.test.ts',
]

/** These files are started first, because they wait for up to a minute. At the end, nothing else would run during this time. */
const LONGEST =
  /test\/(relay\/cancel|reports\/(auto|rejected)|github\/client|store\/(contract|pooler)|migrate\/migrate|action\/both-ways|admin\/(dashboard|readiness)|commands\/doctor|chaos\/(attacks|limits)|lambda\/lambda|demo)\.test\.ts$/

const SHARED_POSTGRES = 'test/support/shared-postgres.ts'

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => Number(LONGEST.test(moduleId))
    return (await super.sort(files)).toSorted((a, b) => isLong(b) - isLong(a))
  }
}

export default defineConfig({
  test: {
    // More workers than cores, because tests often wait for processes and clocks.
    maxWorkers: 6,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    isolate: false,
    // Node runs the source files directly, as in production, and caches the compiled code.
    experimental: { viteModuleRunner: false },
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'tests',
          globalSetup: SHARED_POSTGRES,
          include: ['test/**/*.test.ts'],
          exclude: [...LOAD, ...PACKAGE],
        },
      },
      { extends: true, test: { name: 'package', globalSetup: SHARED_POSTGRES, include: PACKAGE } },
      {
        extends: true,
        test: {
          name: 'load',
          globalSetup: SHARED_POSTGRES,
          include: LOAD,
          testTimeout: 600_000,
        },
      },
    ],
    coverage: {
      provider: 'v8',
      autoAttachSubprocess: true,
      include: ['{relay,action,port,workflow-files,cli}/**/*.ts'],
      exclude: ['**/dist/**'],
      reporter: ['text', 'json-summary'],
    },
  },
})
