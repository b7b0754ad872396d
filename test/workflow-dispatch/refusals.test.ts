import { expect, test } from 'vitest'
import { until } from '../../tools/simulator/http-server.ts'
import { REFUSALS } from '../github/workflow-dispatch-refusals.ts'
import { withoutDelivery } from '../support/without-delivery.ts'
import { openScene, workflow } from './open-scene.ts'

/** The sentences are compared in test/github/workflow-dispatch.test.ts: here, one of each kind. */
const SAMPLE = REFUSALS.filter(
  ([status, says]) => status !== 422 || /^(Unexpected|Something)/.test(String(says)),
)

test(`refusals of GitHub each finish the run in Port with their sentence, and nothing is sent again`, async () => {
  const scene = await openScene()
  const { github } = scene
  const shown = await Promise.all(
    SAMPLE.map(async ([status, says, sentence], i) => {
      const repository = `acme/shop-${i}`
      github.addRepository(repository, { workflows: [workflow({ service: {}, port: {} })] })
      const match = ({ path }: { path: string }) => path.startsWith(`/repos/${repository}/`)
      const body = typeof says === 'string' ? { message: says } : says
      github.fail({ match, status, body, times: Number.POSITIVE_INFINITY })
      const path = `/webhook/${repository}?workflow=deploy.yml&ref=main`
      const { run } = await scene.deliver({ path, inputs: { service: 'hunter2' } })
      await until(() => run.status !== 'IN_PROGRESS', `Port is updated: ${says}`)
      const { state, events } = await scene.shown(run.id)
      const told = { status: run.status, label: run.statusLabel, summary: run.summary, link: run.link }
      return {
        ...told,
        log: run.logs.map(({ message }) => withoutDelivery(message)),
        ...{ state, events: events.map(({ type }) => type) },
        expected: sentence.replaceAll('acme/shop', repository),
        page: `${github.serverUrl}/${repository}/actions`,
      }
    }),
  )
  for (const { expected, page, ...told } of shown) {
    expect(told).toEqual({
      ...{ status: 'FAILURE', label: 'Not started', summary: expected, link: [page] },
      log: [expected],
      ...{ state: 'failed', events: ['accepted', 'dispatchRejected'] },
    })
  }
  const sent = scene.sent().length
  // What names inputs that are not declared is sent once more, without them.
  const learnt = SAMPLE.filter(([, says]) => /^Unexpected inputs provided: \[/.test(String(says))).length
  expect(sent).toBe(SAMPLE.length + learnt)
  expect(github.workflowDispatches).toEqual([])
  expect(scene.relay.printed()).not.toContain('hunter2')
})

test("what GitHub's own rules refuse: required, of another type, on another branch, disabled, without permission", async () => {
  const scene = await openScene()
  const { github } = scene
  const open = workflow({
    service: { required: true },
    size: { type: 'choice', options: ['s', 'm'] },
    port: {},
  })
  const { dispatch: _, ...deaf } = open
  github.addRepository('acme/shop', { workflows: [open] })
  github.addRepository('acme/off', { workflows: [{ ...open, state: 'disabled_manually' }] })
  github.addRepository('acme/read', {
    workflows: [open],
    permissions: { actions: 'read', contents: 'write' },
  })
  github.addRepository('acme/deaf', { workflows: [deaf] })
  const rows: [string, Record<string, string>, RegExp][] = [
    ['acme/shop?workflow=deploy.yml', {}, /requires the input "service"/],
    [
      'acme/shop?workflow=deploy.yml',
      { service: 'web', size: 'xl' },
      /does not take the value of its input "size"/,
    ],
    ['acme/shop?workflow=deploy.yml&ref=next', { service: 'web' }, /has no branch or tag "next"/],
    ['acme/shop?workflow=other.yml', { service: 'web' }, /finds no workflow other\.yml in acme\/shop/],
    [
      'acme/none?workflow=deploy.yml&ref=main',
      { service: 'web' },
      /finds no workflow deploy\.yml in acme\/none/,
    ],
    ['acme/off?workflow=deploy.yml', { service: 'web' }, /is disabled: enable it on GitHub/],
    ['acme/read?workflow=deploy.yml', { service: 'web' }, /needs the permission Actions: write/],
    ['acme/deaf?workflow=deploy.yml', { service: 'web' }, /has no trigger workflow_dispatch on "main"/],
    [
      'acme/shop?workflow=deploy.yml',
      Object.fromEntries(Array.from({ length: 26 }, (_, i) => [`i${i}`, 'x'])),
      /requires the input "service"/,
    ],
    ['acme/shop?workflow=deploy.yml', { service: 'é'.repeat(40_000) }, /the largest input is "service"/],
  ]
  const summaries = await Promise.all(
    rows.map(async ([path, given]) => {
      const { run } = await scene.deliver({ path: `/webhook/${path}`, inputs: given })
      await until(() => run.status === 'FAILURE', `Port is updated: ${path}`)
      return run.summary
    }),
  )
  for (const [i, [, , sentence]] of rows.entries()) expect(summaries[i]).toMatch(sentence)
  expect(github.workflowDispatches).toEqual([])
})
