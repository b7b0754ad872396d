import { expect, test } from 'vitest'
import { until } from '../../simulator/http-server.ts'
import type { RunOptions } from '../../simulator/runner/types.ts'
import { action, repositoryWith, runDispatched, workflow } from '../action/play.ts'
import { send, sendRunWebhook } from '../support/requests.ts'
import { startSystem } from './open-stage.ts'

// What Port shows for whole workflows with `report: auto`, through a real relay and directly, with the built action.

type Way = 'by polls' | "by GitHub's webhooks" | 'directly'

const FAIL = '\n      - run: exit 1'
const SECOND = '\n      - run: test $GITHUB_RUN_ATTEMPT = 2'
const PASS = '\n      - run: "true"'
const job = (id: string, steps: string, more = '') =>
  `  ${id}:\n    runs-on: ubuntu-latest${more}\n    steps:${steps}\n`
const ALWAYS = '\n    if: ${{ always() }}\n    needs: [build]'

interface Scenario {
  /** @param uses a step that uses the action, with more inputs */
  jobs: (uses: (inputs?: Record<string, string>) => string) => string
  /** What Port shows through the relay, and directly. */
  shown: [relay: string, directly: string]
  /** The summary through the relay. */
  summary?: RegExp
  kind?: 'node' | 'synchronous'
  /** What happens after the job's report and before the end that GitHub shows. */
  meanwhile?: 'a re-run' | 'a cancellation'
}

const SCENARIOS: Record<string, Scenario> = {
  'the action in the first of two jobs': {
    jobs: uses => job('build', uses()) + job('deploy', FAIL, '\n    needs: [build]'),
    shown: ['FAILURE', 'SUCCESS'],
    summary: /^Job "deploy" failed at step 2 "Run exit 1"\. See its log\.\n\n[\s\S]*✓ Job build: success/,
  },
  'the action in the last of two jobs': {
    jobs: uses => job('build', FAIL) + job('deploy', uses(), ALWAYS),
    shown: ['FAILURE', 'SUCCESS'],
    summary: /^Job "build" failed at step 2/,
  },
  'the action in both jobs': {
    jobs: uses => job('build', uses() + FAIL) + job('deploy', uses(), ALWAYS),
    shown: ['FAILURE', 'FAILURE'],
    summary: /^✗ Job build: failure/,
  },
  'a matrix of 5 jobs, one of which fails': {
    jobs: uses =>
      job(
        'test',
        `${uses()}\n      - run: test \${{ matrix.leg }} != 5`,
        '\n    strategy: { fail-fast: false, matrix: { leg: [1, 2, 3, 4, 5] } }',
      ),
    shown: ['FAILURE', ''],
    summary: /^✗ Job test \(5\): failure/,
  },
  'a failed job in needs that the workflow run ignores': {
    jobs: uses =>
      job(
        'build',
        `${PASS}\n      - { run: exit 1, continue-on-error: true }\n      - { id: no, run: exit 1 }`,
      ) + job('report', uses({ needs: '${{ toJSON(needs) }}' }), ALWAYS),
    shown: ['FAILURE', 'FAILURE'],
  },
  'a conclusion in $PORT_RUN of a green job': {
    jobs: uses =>
      job('build', `${uses()}\n      - run: printf 'conclusion=failure\\nsummary=Mine\\n' >> "$PORT_RUN"`) +
      job('deploy', uses(), ALWAYS),
    shown: ['FAILURE', 'FAILURE'],
    summary: /^Mine$/,
  },
  'a called workflow': {
    jobs: () => '  call: { uses: ./.github/workflows/called.yml, secrets: inherit }\n',
    shown: ['FAILURE', 'FAILURE'],
  },
  'a node run': {
    jobs: uses =>
      job('build', `${uses()}\n      - run: echo output.url=u >> "$PORT_RUN"`) + job('deploy', FAIL),
    shown: ['FAILED', 'SUCCESS'],
    kind: 'node',
  },
  'a synchronous run, whose result is the response to the webhook': {
    jobs: uses => job('build', uses()) + job('deploy', FAIL),
    shown: ['SUCCESS', 'SUCCESS'],
    kind: 'synchronous',
  },
  'a re-run before the relay has seen the end of the first attempt': {
    jobs: uses =>
      job('build', `${uses()}${SECOND} || echo conclusion=failure >> "$PORT_RUN"`) +
      job('deploy', SECOND, '\n    needs: [build]'),
    shown: ['SUCCESS', 'FAILURE'],
    meanwhile: 'a re-run',
  },
  'a cancellation after the report': {
    jobs: uses => job('build', uses()) + job('deploy', '\n      - run: sleep 60', '\n    needs: [build]'),
    // Without a relay, the report has finished the run in Port, and the user cancels on GitHub.
    shown: ['FAILURE', 'SUCCESS'],
    summary: /^Canceled[\s\S]*✓ Job build: success/,
    meanwhile: 'a cancellation',
  },
}

test.each<Way>(['by polls', "by GitHub's webhooks", 'directly'])(
  'Port shows the result of the whole workflow run, which the relay learns %s',
  async way => {
    const secret = 'a secret of the webhook'
    const webhooks = way === "by GitHub's webhooks"
    const system = await startSystem(webhooks ? { GITHUB_WEBHOOK_SECRET: secret } : {})
    const credentials = action().replaceAll(/^.*(uses: |id: port|with:).*\n?/gm, '')
    const uses = (inputs: Record<string, string> = {}) => {
      const more = Object.entries({ live: 'false', ...inputs }).map(
        ([name, value]) => `\n          ${name}: ${JSON.stringify(value)}`,
      )
      const own = way === 'directly' ? `\n${credentials.trim().replace(/^/, '          ')}` : ''
      return `\n      - uses: ./\n        with:${more.join('')}${own}`
    }
    const called = {
      '.github/workflows/called.yml': `permissions: { id-token: write }${workflow(uses() + FAIL, 'workflow_call: {}')}`,
    }
    const { github, port } = system
    const all = Object.entries(SCENARIOS).map(async ([name, scenario], index) => {
      const { jobs, shown, summary, kind, meanwhile } = scenario
      const expected = shown[way === 'directly' ? 1 : 0]
      // Without a relay, the result of a matrix depends on which job is first. Webhooks matter only for scenarios with `kind` or `meanwhile`.
      if (way === 'directly' ? name.includes('matrix') : webhooks && !kind && !meanwhile) return
      const runId = 16_000_000_100 + index
      const id = kind === 'node' ? `wfnr_${runId}abcdefgh` : `r_${runId}ABCDEfgh`
      if (kind === 'node') port.createNodeRun({ id })
      else port.createRun({ id, synchronized: kind === 'synchronous' })
      const { dispatch } = await system.deliver({ runId: null, body: { run: { id } } })
      if (kind === 'synchronous') port.endRun(id, 'SUCCESS')
      const simulate = (more: Partial<RunOptions> = {}) =>
        runDispatched(system, dispatch, jobs(uses), { runId, ...more })
      const repository = name.includes('called') ? repositoryWith(called) : {}
      if (meanwhile === 'a re-run') {
        // GitHub doesn't show the end of the first attempt.
        const setRun: typeof github.setRun = (id, patch) =>
          github.setRun(id, patch.status === 'completed' ? {} : patch)
        await simulate({ github: { ...github, setRun } })
        await simulate({ attempt: 2 })
      } else if (meanwhile === 'a cancellation') await simulateCancellation(simulate, runId, id)
      else await simulate(repository)
      const run = github.runs.find(run => run.id === runId)!
      if (webhooks) await sendRunWebhook(system.url, run, { github, secret })
      const isFollowed = () =>
        way === 'directly' ||
        system.relay.log().some(line => line.github_run_id === runId && line.conclusion === run.conclusion)
      const now = () => {
        if (kind === 'node') return port.nodeRun(id).result
        const { finishedAt, status } = port.run(id)
        return finishedAt && (kind !== 'synchronous' || isFollowed()) && status
      }
      await until(now, `${name} finishes`, 60_000)
      expect(now(), name).toBe(expected)
      if (way === 'directly') return
      const text = kind === 'node' ? port.nodeRun(id).output.summary : port.run(id).summary
      if (summary) expect(text, name).toMatch(summary)
    })
    await Promise.all(all)

    /** Cancels in the second job: through the relay, or directly on GitHub. */
    async function simulateCancellation(
      simulate: (more: Partial<RunOptions>) => Promise<unknown>,
      githubRunId: number,
      run_id: string,
    ) {
      const stop = new AbortController()
      // The runner finishes the run.
      const isStarted = until(() => github.runs.some(({ id }) => id === githubRunId), 'the run starts')
      void isStarted.then(() => github.setUnstoppable(githubRunId))
      const onStep: RunOptions['onStep'] = async ({ step }) => {
        if (step.name !== 'Run sleep 60' || step.status !== 'in_progress') return
        if (way !== 'directly') {
          await send(system.url, { path: '/webhook/cancel', body: { run_id }, secret: port.clientSecret })
          await until(() => github.cancellations.some(({ runId }) => runId === githubRunId), 'a cancellation')
        }
        stop.abort()
      }
      await simulate({ onStep, signal: stop.signal })
    }
  },
)

test('if a job with the action loses its runner, the relay runs the job again, and the second report counts', async () => {
  const system = await startSystem()
  const steps =
    '\n      - { uses: ./, with: { live: "false" } }\n      - run: test $GITHUB_RUN_ATTEMPT = 2 || sleep 60'
  const body = { github: { rerun: 'lost-runner' } }
  const { dispatch, portRun } = await system.deliver({ body })
  const lost = new AbortController()
  const onStep: RunOptions['onStep'] = ({ step }) => step.name.includes('sleep 60') && lost.abort()
  await runDispatched(system, dispatch, job('deploy', steps), { onStep, runnerLost: lost.signal })
  const [run] = system.github.runs
  await until(() => run!.runAttempt === 2, 'the relay requests a re-run', 60_000)
  await until(() => portRun!.statusLabel === 'Runner lost, running again', 'Port gets the label')
  await runDispatched(system, dispatch, job('deploy', steps), { attempt: 2 })
  await until(() => portRun!.finishedAt, 'Port gets the result', 60_000)
  expect([portRun!.status, run!.runAttempt]).toEqual(['SUCCESS', 2])
  expect(portRun!.summary).toMatch(/^✓ Job deploy: success/)
})
