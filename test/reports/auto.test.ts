import { expect, test } from 'vitest'
import { until } from '../../tools/simulator/http-server.ts'
import { action, repositoryWith, runDispatched, workflow } from '../action/play.ts'
import { sendRunWebhook } from '../support/run-webhook.ts'
import { startSystem } from './open-stage.ts'

// What Port shows for whole workflows with `report: auto`, through a real relay and directly, with the built action.

type Way = 'by polls' | "by GitHub's webhooks" | 'directly'

const FAIL = '\n      - run: exit 1'
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
  kind?: 'node'
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
  'a matrix of 20 jobs, one of which fails': {
    jobs: uses =>
      job(
        'test',
        `${uses()}\n      - run: test \${{ matrix.leg }} != 20`,
        `\n    strategy: { fail-fast: false, matrix: { leg: [${Array.from({ length: 20 }, (_, i) => i + 1)}] } }`,
      ),
    shown: ['FAILURE', ''],
    summary: /^✗ Job test \(20\): failure/,
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
    const all = Object.entries(SCENARIOS).map(async ([name, { jobs, shown, summary, kind }], index) => {
      const expected = shown[way === 'directly' ? 1 : 0]
      // Directly, the first job of a matrix decides.
      if (way !== 'by polls' && name.includes('matrix')) return
      const runId = 16_000_000_100 + index
      const id = kind ? `wfnr_${runId}abcdefgh` : `r_${runId}ABCDEfgh`
      if (kind) system.port.createNodeRun({ id })
      const { dispatch, portRun } = await system.deliver({ runId: kind ? null : id, body: { run: { id } } })
      const repository = name.includes('called') ? repositoryWith(called) : {}
      await runDispatched(system, dispatch, jobs(uses), { runId, ...repository })
      if (webhooks) {
        const run = system.github.runs.find(run => run.id === runId)!
        await sendRunWebhook(system.url, run, { github: system.github, secret })
      }
      const now = () => (kind ? system.port.nodeRun(id).result : portRun!.finishedAt && portRun!.status)
      await until(now, `${name} finishes`, 60_000)
      expect(now(), name).toBe(expected)
      if (way === 'directly') return
      const text = kind ? system.port.nodeRun(id).output.summary : portRun!.summary
      if (summary) expect(text, name).toMatch(summary)
    })
    await Promise.all(all)
  },
)

test.each([true, false])(
  'if another system reports the final status, the action sends everything else (through the relay: %s)',
  async relay => {
    const system = await startSystem()
    const own = relay ? '' : action().replaceAll(/^.*(uses: |id: port|with:).*\n?/gm, '')
    const steps = `\n      - uses: ./\n        with:\n          live: "false"\n${own}      - run: exit 1`
    const body = { github: { reportWorkflowStatus: false } }
    const { dispatch, portRun } = await system.deliver({ body })
    await runDispatched(system, dispatch, job('build', steps))
    await until(() => portRun!.statusLabel === 'Failed', 'Port gets the label')
    expect(portRun!.status).toBe('IN_PROGRESS')
    expect(portRun!.summary).toMatch(/^✗ Job build: failure/)
    expect(portRun!.logs.some(({ message }) => message.includes('Job build: failure'))).toBe(true)
  },
)
