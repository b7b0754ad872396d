import { expect, test, vi } from 'vitest'
import type { Json, JsonObject } from '../../port/types.ts'
import type { GitHubRun } from '../../simulator/github/github.ts'
import { until } from '../../simulator/http-server.ts'
import type { PortRun } from '../../simulator/port/port.ts'
import { renderBody } from '../../workflow-files/render-body.ts'
import { text } from '../docs/pages.ts'
import { readFixture } from '../support/fixture.ts'
import { send, sendRunWebhook } from '../support/requests.ts'
import { openScene, type Scene, WEBHOOK_SECRET, workflow } from '../workflow-dispatch/open-scene.ts'

// Each test waits for several polls, seconds apart.
vi.setConfig({ testTimeout: 120_000 })

const APPROVAL = 'WAITING_FOR_APPROVAL'
/** Can't be converted to text, because `toString` isn't a function. */
const ODD = { toString: 1, valueOf: 1 }

/** Returns the event of a changed run. Port renders the body of an automation from this event. */
function runUpdated(run: PortRun, change: { from?: Json; to?: string; origin?: string } = {}): JsonObject {
  const body = JSON.parse(Buffer.from(readFixture('automation-run-updated').body).toString())
  const { diff, trigger } = body.event
  Object.assign(diff.before, { id: run.id, status: change.from ?? 'IN_PROGRESS' })
  Object.assign(diff.after, { id: run.id, status: change.to ?? 'FAILURE' })
  Object.assign(trigger, { origin: change.origin ?? 'UI' })
  return body
}

const cancel = (scene: Scene, body: unknown, more: Parameters<typeof send>[1] = {}) =>
  send(scene.relay.url, { path: '/webhook/cancel', body, ...more })

/** Waits until the run's delivery is in this state. Returns the delivery from the admin API. */
async function reaches(scene: Scene, run: PortRun, state: string) {
  const isThere = async () => (await scene.shown(run.id)).state === state
  await until(isThere, `the delivery is ${state}`, 60_000)
  return scene.shown(run.id)
}

/** Creates a delivery whose workflow run is in progress on GitHub. */
async function running(scene: Scene) {
  const { run, delivery } = await scene.deliver('/webhook?workflow=deploy.yml')
  const { github_run_id } = await reaches(scene, run, 'running')
  const workflowRun = scene.github.setRun(github_run_id, { status: 'in_progress' })
  return { run, delivery, workflowRun }
}

async function open(): Promise<Scene> {
  const scene = await openScene({ autoRun: true })
  scene.github.addRepository('acme/shop', { workflows: [workflow({ port: {} })] })
  return scene
}

/** Sends GitHub's webhook about the current state of a run, so that the relay doesn't wait for a poll. */
const tell = ({ relay, github }: Scene, run: GitHubRun) =>
  sendRunWebhook(relay.url, run, { github, secret: WEBHOOK_SECRET })

test('the automation cancels the workflow run when a user finishes the Port run', async () => {
  const scene = await open()
  const { run, delivery, workflowRun } = await running(scene)
  scene.port.endRun(run.id, 'FAILURE')
  const { invocationMethod } = JSON.parse(text('examples/cancel/automation.json'))
  expect(await cancel(scene, renderBody(invocationMethod.body, runUpdated(run)))).toEqual({
    status: 202,
    body: { delivery, run_id: run.id, state: 'running' },
  })
  await until(() => workflowRun.status === 'completed', 'GitHub cancels the run', 60_000)
  await tell(scene, workflowRun)
  await reaches(scene, run, 'cancelled')
  expect(scene.github.cancellations).toEqual([{ runId: workflowRun.id, isForced: false }])
  expect(await cancel(scene, runUpdated(run))).toEqual({
    status: 200,
    body: { delivery, run_id: run.id, state: 'cancelled', ignored: 'the delivery is already cancelled' },
  })
})

test('a body that contains only the run ID cancels the workflow run once, and the Port run fails as "Canceled"', async () => {
  const scene = await open()
  const { run, workflowRun } = await running(scene)
  const responses = [await cancel(scene, { run_id: run.id }), await cancel(scene, { run_id: run.id })]
  expect(responses.map(({ status }) => status)).toEqual([202, 202])
  await until(() => workflowRun.status === 'completed', 'GitHub cancels the run', 60_000)
  await tell(scene, workflowRun)
  await until(() => run.status !== 'IN_PROGRESS', 'the Port run finishes')
  expect(run).toMatchObject({ status: 'FAILURE', statusLabel: 'Canceled' })
  expect(run.link).toEqual([scene.page(workflowRun.id)])
  expect(scene.github.cancellations).toHaveLength(1)
})

test('the relay ignores an event in which no user canceled the run, and its response states the reason', async () => {
  const scene = await open()
  const { run } = await running(scene)
  const ended = await running(scene)
  await tell(scene, scene.github.setRun(ended.workflowRun.id, { status: 'completed', conclusion: 'success' }))
  await reaches(scene, ended.run, 'finished')

  const refused =
    'The body contains no run to cancel: send "event.diff" of a RUN_UPDATED automation, or {"run_id": "r_…"}.'
  const { event } = runUpdated(run) as { event: JsonObject }
  // Signatures don't cover the URL, so the webhook of an action, which can contain a run_id, could be sent to this address.
  const ofAction = { run_id: run.id, version: '1.4.2' }
  const otherKeys = 'To cancel by "run_id", the body must have no other keys: remove them.'
  const none = [{}, [], null, { run_id: 'shop' }, { run_id: 7 }, { event: { ...event, diff: null } }]
  const refusals: [status: number, body: unknown, detail: string, webhook?: Parameters<typeof send>[1]][] = [
    ...none.map((body): (typeof refusals)[0] => [422, body, refused]),
    [422, ofAction, otherKeys],
    [400, Buffer.from('{"run_id":'), "The body isn't JSON"],
    [401, runUpdated(run), "The signature doesn't match", { secret: 'a-secret-that-is-not-known' }],
    [401, runUpdated(run), 'The header x-port-signature', { headers: { 'x-port-signature': null } }],
    [405, undefined, 'Send this request with POST.', { method: 'PUT' }],
  ]
  for (const [status, body, detail, webhook] of refusals) {
    const response = await cancel(scene, body, webhook)
    expect(response, detail).toMatchObject({ status, body: { detail: expect.stringContaining(detail) } })
  }

  const ignored: [JsonObject, string][] = [
    [runUpdated(run, { origin: 'API' }), `run ${run.id} was finished through Port's API`],
    [runUpdated(run, { to: 'IN_PROGRESS' }), `run ${run.id} went from IN_PROGRESS to IN_PROGRESS`],
    [runUpdated(run, { from: APPROVAL }), `run ${run.id} went from ${APPROVAL} to FAILURE`],
    [runUpdated(run, { from: ODD }), `run ${run.id} went from null to FAILURE`],
    [{ run_id: 'r_unknown' }, 'the relay has no delivery for run r_unknown'],
    [{ run_id: ended.run.id }, 'the delivery is already finished'],
  ]
  for (const [body, why] of ignored) {
    expect(await cancel(scene, body), why).toMatchObject({ status: 200, body: { ignored: why } })
  }
  expect(scene.github.cancellations).toEqual([])
  const shown = await scene.shown(run.id)
  expect(shown).toMatchObject({ state: 'running', cancel_requested_at: null })
})
