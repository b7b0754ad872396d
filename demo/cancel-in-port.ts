import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JsonObject } from '../port/types.ts'
import type { PortRun } from '../simulator/port/port.ts'
import { postSigned } from '../simulator/port/webhook.ts'
import { renderBody } from '../workflow-files/render-body.ts'
import type { System } from './open-system.ts'
import type { Timeline } from './timeline.ts'

const AUTOMATION = join(import.meta.dirname, '../examples/cancel/automation.json')
const LIMIT_MS = 20_000

/**
 * Finishes a run as a user would in Port. Port's automation calls the relay. Resolves when GitHub has canceled the run.
 *
 * @throws Error if the relay refuses the webhook, or GitHub doesn't cancel the workflow run in time
 */
export async function cancelInPort(
  run: PortRun,
  { port, github, relay }: System,
  timeline: Timeline,
  signal: AbortSignal,
): Promise<void> {
  const note = (who: 'Port' | 'relay' | 'GitHub', id: string, what: string) =>
    timeline.add({ at: Date.now(), who, id, what })
  const wait = async (isThere: () => boolean, what: string) => {
    const limit = Date.now() + LIMIT_MS
    while (!isThere()) {
      if (Date.now() > limit) throw new Error(`Not in time: ${what}.`)
      await sleep(20, undefined, { signal })
    }
  }
  await wait(() => run.logs.length > 0, 'Port shows that the workflow was dispatched')
  port.endRun(run.id, 'FAILURE', 'Canceled')
  note('Port', run.id, '✗ Ada Lovelace ends the run as FAILURE “Canceled”')

  const { title, invocationMethod } = JSON.parse(await readFile(AUTOMATION, 'utf8'))
  const { method, url, body } = invocationMethod
  const path = new URL(url).pathname
  note('Port', run.id, `runs the automation “${title}”:\n${method} ${path}, signed with the client secret`)
  const rendered = renderBody(body, context(run))
  const response = await postSigned(relay.url + path, method, rendered, port.clientSecret)
  const delivery = String(response.body.delivery ?? '').slice(0, 18)
  if (response.status !== 202)
    throw new Error(`The relay responded with ${response.status}: ${response.body.detail}`)
  note('relay', delivery, 'verifies the signature, cancels the delivery, responds with 202')

  const isCancelled = ({ runId }: { runId: number }) => runId === github.workflowDispatches.at(-1)?.runId
  await wait(() => github.cancellations.some(isCancelled), 'GitHub cancels the workflow run')
  const { runId } = github.cancellations.find(isCancelled)!
  const { conclusion } = github.runs.find(({ id }) => id === runId)!
  note('GitHub', `run ${runId}`, `receives a cancel request, and finishes the run as ${conclusion}`)
}

/** The context with which Port renders the automation's body. */
function context({ id }: PortRun): JsonObject {
  const trigger = { by: { user: { email: 'ada@acme.example' } }, origin: 'UI', at: new Date().toISOString() }
  const diff = { before: { id, status: 'IN_PROGRESS' }, after: { id, status: 'FAILURE' } }
  return { inputs: null, event: { action: 'RUN_UPDATED', resourceType: 'run', trigger, diff } }
}
