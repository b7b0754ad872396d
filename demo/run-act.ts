import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PortApi, PortRun } from '../tools/simulator/port/port.ts'
import { type PortAction, sendWebhook } from '../tools/simulator/port/webhook.ts'
import type { Act } from './acts.ts'
import { cancelInPort } from './cancel-in-port.ts'
import type { System } from './open-system.ts'
import { simulateDispatch } from './simulate-dispatch.ts'
import type { Timeline } from './timeline.ts'
import { watchPort } from './watch-port.ts'

const EXAMPLES = join(import.meta.dirname, '../examples')
/** Time limit. An act takes a second or, if no workflow listens, a few seconds more than RELAY_START_TIMEOUT. */
const LIMIT_MS = 20_000

/**
 * Runs the act's action in Port and waits until the Port run has finished.
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
  const definition = await readAction(act)
  const { method } = definition.invocationMethod
  const { identifier: action } = definition
  const run = port.createRun({ action, properties: act.inputs, ...(act.entity && { entity: act.entity }) })
  const note = (who: 'Port' | 'relay', id: string, what: string) =>
    timeline.add({ at: Date.now(), who, id, what })

  if (act.relay) {
    const variables = Object.entries(act.relay).map(([name, value]) => `${name}=${value}`)
    note('relay', `process ${system.relay.pid}`, `starts again with ${variables.join(' ')}`)
  }
  const stopWatching = watchPort(port, run.id, timeline)
  const playing = simulateDispatch(system, timeline, signal, !act.isCancelled)
  try {
    const on = act.entity ? ` on ${act.entity}` : ''
    const inputs = Object.entries(act.inputs).map(([name, value]) => `${name} ${value}`)
    note('Port', run.id, `Ada Lovelace runs “${definition.title}”${on}:\n${inputs.join(', ')}`)
    const path = addressOf(definition, act)
    note('Port', run.id, `sends the webhook, ${method} ${path}, signed with the client secret`)
    const { status, body: response } = await sendWebhook(definition, run, {
      ...{ relay: system.relay.url, path, secret: port.clientSecret },
    })
    const delivery = String(response.delivery ?? '').slice(0, 18)
    if (status !== 202) {
      note('relay', delivery, `✗ refuses the webhook with ${status}:\n${response.detail}`)
      return [`${act.title}: the relay responded with ${status}: ${response.detail}`]
    }
    note('relay', delivery, 'verifies the signature, persists the delivery, responds with 202')
    if (act.isCancelled) await cancelInPort(run, system, timeline, signal)
    const isOver = () =>
      run.status !== 'IN_PROGRESS' && (act.startsNothing || system.bound.has(String(response.delivery)))
    await waitFor(isOver, signal)
    return judge(act, run, reportsOf(port, run))
  } finally {
    await playing.end().finally(stopWatching)
    timeline.print(['', ...portPage(run, reportsOf(port, run)).map(line => `  ${line}`)])
  }
}

/** Reads the act's action definition from `examples/`. */
export const readAction = async (act: Act) =>
  JSON.parse(await readFile(join(EXAMPLES, act.action), 'utf8')) as PortAction

/** The webhook URL's path and query, including the act's query parameters. */
function addressOf({ invocationMethod }: PortAction, { query = {} }: Act): string {
  const url = new URL(invocationMethod.url)
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
  return url.pathname + url.search
}

async function waitFor(isOver: () => boolean, signal: AbortSignal): Promise<void> {
  const limit = Date.now() + LIMIT_MS
  while (!isOver() && Date.now() < limit) await sleep(20, undefined, { signal })
}

/** Lists differences between the Port run and the act's expected result, one sentence each. */
function judge(
  act: Act,
  run: Pick<PortRun, 'status' | 'statusLabel' | 'logs'>,
  reports: string[] = [],
): string[] {
  if (run.status !== act.status) return [`${act.title}: Port shows ${run.status} instead of ${act.status}.`]
  if (run.statusLabel !== act.label) {
    return [`${act.title}: Port shows “${run.statusLabel}” instead of “${act.label}”.`]
  }
  const lines = logLines(run)
  const missing = act.reports?.filter(report => !reports.includes(report)) ?? []
  return [
    ...act.log
      .filter(line => !lines.some(each => each.startsWith(line)))
      .map(line => `${act.title}: Port's log lacks “${line}”.`),
    ...missing.map(report => `${act.title}: Port lacks the entity “${report}”.`),
  ]
}

/** What Port's page of the run shows to users. */
function portPage(run: PortRun, reports: string[]): string[] {
  const rows = [
    ['Run', `${run.id}  ${run.action}`],
    ['Status', [run.status, run.statusLabel].filter(Boolean).join(' · ')],
    ['Link', [run.link ?? '–'].flat().join(' ')],
    ...reports.map(report => ['Entity', report]),
    ...logLines(run).map((line, index) => [index === 0 ? 'Log' : '', line]),
  ]
  return ['In Port', ...rows.map(([name, text]) => `  ${name!.padEnd(8)}${text}`)]
}

/** Describes the entities that Port associates with the run. */
const reportsOf = (port: PortApi, run: PortRun) =>
  port.entities
    .filter(({ runId }) => runId === run.id)
    .map(({ blueprint, identifier, title = identifier, relations }) => {
      const targets = Object.entries(relations).map(([name, target]) => `${name} ${target}`)
      return `${blueprint} ${title}, of ${targets.join(', ')}`
    })

const logLines = (run: Pick<PortRun, 'logs'>) => run.logs.flatMap(({ message }) => message.split('\n'))
