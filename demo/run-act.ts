import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Json, JsonObject } from '../port/types.ts'
import type { PortApi, PortRun } from '../simulator/port/port.ts'
import { type PortWorkflow, runPortWorkflow } from '../simulator/port/run-workflow.ts'
import type { PortNodeRun } from '../simulator/port/state.ts'
import { contextOf, type PortAction, postSigned } from '../simulator/port/webhook.ts'
import { renderBody } from '../workflow-files/render-body.ts'
import type { Act } from './acts.ts'
import { cancelInPort } from './cancel-in-port.ts'
import type { System } from './open-system.ts'
import { simulateDispatch } from './simulate-dispatch.ts'
import type { Timeline } from './timeline.ts'
import { watchPort } from './watch-port.ts'

const EXAMPLES = join(import.meta.dirname, '../examples')
/** The time limit of an act, which takes a second or, if no workflow listens, a few seconds longer than RELAY_START_TIMEOUT. */
const LIMIT_MS = 20_000

/** The run of an action or a node, as Port shows it. */
type ShownRun = Pick<PortRun, 'id' | 'action' | 'status' | 'statusLabel' | 'link' | 'logs'> & {
  /** The id of the run that wrote the entities. */
  writer: string
}
/** The definition's webhook. */
type Webhook = { url: string; method: string; body: Json }

/**
 * Runs the act's action or workflow in Port and waits until the Port run has finished.
 *
 * @returns the problems, one sentence each
 */
export async function runAct(
  act: Act,
  system: System,
  timeline: Timeline,
  signal: AbortSignal,
): Promise<string[]> {
  const { port } = system
  if (act.relay) await system.restartRelay(act.relay)
  timeline.start(act.title)
  const definition = await readDefinition(act)
  const note = (who: 'Port' | 'relay', id: string, what: string) =>
    timeline.add({ at: Date.now(), who, id, what })
  if (act.relay) {
    const variables = Object.entries(act.relay).map(([name, value]) => `${name}=${value}`)
    note('relay', `process ${system.relay.pid}`, `starts again with ${variables.join(' ')}`)
  }
  const stops: (() => void)[] = []
  const playing = simulateDispatch(system, timeline, signal, !act.isCancelled)
  let shown: (() => ShownRun) | undefined
  let refusal: string | null = null

  /** Sends the webhook, and waits until the run has finished. */
  async function start(id: string, { url, method, body }: Webhook, context: JsonObject): Promise<void> {
    stops.push(watchPort(port, id, timeline))
    const on = act.entity ? ` on ${act.entity}` : ''
    const inputs = Object.entries(act.inputs).map(([name, value]) => `${name} ${value}`)
    note('Port', id, `Ada Lovelace runs “${definition.title}”${on}:\n${inputs.join(', ')}`)
    const path = addressOf(url, act)
    note('Port', id, `sends the webhook, ${method} ${path}, signed with the client secret`)
    const rendered = renderBody(body, context)
    const sent = await postSigned(system.relay.url + path, method, rendered, port.clientSecret)
    const { status, body: response } = sent
    const delivery = String(response.delivery ?? '').slice(0, 18)
    if (status !== 202) {
      note('relay', delivery, `✗ refuses the webhook with ${status}:\n${response.detail}`)
      refusal = `${act.title}: the relay responded with ${status}: ${response.detail}`
      return
    }
    note('relay', delivery, 'verifies the signature, persists the delivery, responds with 202')
    if (act.isCancelled) await cancelInPort(port.run(id), system, timeline, signal)
    const isOver = () =>
      shown?.().status !== 'IN_PROGRESS' && (act.startsNothing || system.bound.has(String(response.delivery)))
    await waitFor(isOver, signal)
  }

  try {
    if ('nodes' in definition) {
      await runPortWorkflow(port, definition, act.inputs, async (node, run, context) => {
        shown = () => shownNodeRun(run, definition)
        await start(run.id, node.config as unknown as Webhook, context)
      })
      for (const report of reportsOf(port, shown!()))
        note('Port', shown!().writer, `✓ runs the next node, which reads the outputs:\n${report}`)
    } else {
      const { identifier: action } = definition
      const run = port.createRun({
        action,
        properties: act.inputs,
        ...(act.entity && { entity: act.entity }),
      })
      shown = () => ({ ...run, writer: run.id })
      await start(run.id, definition.invocationMethod, contextOf(definition, run))
    }
    return refusal ? [refusal] : judge(act, shown!(), reportsOf(port, shown!()))
  } finally {
    await playing.end().finally(() => {
      for (const stop of stops) stop()
    })
    if (shown) timeline.print(['', ...portPage(shown(), reportsOf(port, shown())).map(line => `  ${line}`)])
  }
}

async function readDefinition(act: Act): Promise<PortAction | PortWorkflow> {
  return JSON.parse(await readFile(join(EXAMPLES, act.action), 'utf8'))
}

/** Reads the act's action definition from `examples/`. */
export const readAction = (act: Act) => readDefinition(act) as Promise<PortAction>

/** The webhook URL's path and query, including the act's query parameters. */
function addressOf(address: string, { query = {} }: Act): string {
  const url = new URL(address)
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
  return url.pathname + url.search
}

async function waitFor(isOver: () => boolean, signal: AbortSignal): Promise<void> {
  const limit = Date.now() + LIMIT_MS
  while (!isOver() && Date.now() < limit) await sleep(20, undefined, { signal })
}

/** Lists differences between the Port run and the act's expected result, one sentence each. */
function judge(act: Act, run: ShownRun, reports: string[]): string[] {
  if (run.status !== act.status) return [`${act.title}: Port shows ${run.status} instead of ${act.status}.`]
  if (run.statusLabel !== act.label) {
    return [`${act.title}: Port shows “${run.statusLabel}” instead of “${act.label}”.`]
  }
  const lines = logLines(run)
  const missing = act.reports?.filter(report => !reports.some(each => each.startsWith(report))) ?? []
  return [
    ...act.log
      .filter(line => !lines.some(each => each.startsWith(line)))
      .map(line => `${act.title}: Port's log lacks “${line}”.`),
    ...missing.map(report => `${act.title}: Port lacks the entity “${report}”.`),
  ]
}

/** What Port's page of the run shows to users. */
function portPage(run: ShownRun, reports: string[]): string[] {
  const rows = [
    ['Run', `${run.id}  ${run.action}`],
    ['Status', [run.status, run.statusLabel].filter(Boolean).join(' · ')],
    ['Link', [run.link ?? '–'].flat().join(' ')],
    ...reports.map(report => ['Entity', report]),
    ...logLines(run).map((line, index) => [index === 0 ? 'Log' : '', line]),
  ]
  return ['In Port', ...rows.map(([name, text]) => `  ${name!.padEnd(8)}${text}`)]
}

/** Describes the entities that Port associates with the run, or that a later node wrote. */
const reportsOf = (port: PortApi, { writer }: ShownRun) =>
  port.entities
    .filter(({ runId }) => runId === writer)
    .map(({ blueprint, identifier, title = identifier, relations, properties }) => {
      const pairs = (values: object) => Object.entries(values).map(([name, value]) => `${name} ${value}`)
      const targets = pairs(relations).join(', ')
      return `${blueprint} ${title}, ${targets ? `of ${targets}` : `with ${pairs(properties).join(', ')}`}`
    })

const shownNodeRun = (run: PortNodeRun, { identifier }: PortWorkflow): ShownRun => ({
  ...{ id: run.id, action: identifier, writer: run.workflowRunId, logs: run.logs, link: run.links },
  statusLabel: run.statusLabel,
  status: run.status === 'IN_PROGRESS' ? run.status : run.result === 'SUCCESS' ? 'SUCCESS' : 'FAILURE',
})

const logLines = (run: ShownRun) => run.logs.flatMap(({ message }) => message.split('\n'))
