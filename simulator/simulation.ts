import type { JsonObject } from '../port/types.ts'
import type { PortApi } from './port/port.ts'
import type { SimulatedRun } from './runner/types.ts'

interface Step {
  name: string
  conclusion: string | null
  log: string[]
}

/** A simulation's result. */
export interface Simulation {
  workflow: string
  /** The event that started the workflow run. */
  started: string
  /** The simulation's assumptions and omissions, one message each. */
  notes: string[]
  jobs: { name: string; conclusion: string | null; steps: Step[] }[]
  conclusion: string
  /** Null if the event names no Port run. */
  port: ShownRun | null
  /** Null if the action has finished the Port run. */
  relay: RelayResult | null
}

/** The workflow's result, as GitHub would show it. */
export function readResult({ jobs, conclusion }: SimulatedRun): Pick<Simulation, 'jobs' | 'conclusion'> {
  return {
    conclusion,
    jobs: jobs.map(job => ({
      name: job.name,
      conclusion: job.conclusion,
      steps: job.steps
        .filter(
          ({ kind, conclusion }) => (kind !== 'setup' && kind !== 'complete') || conclusion === 'failure',
        )
        .map(({ name, kind, conclusion, log, annotations }) => {
          const noted = annotations.map(({ level, message }) => `##[${level}]${message}`).join('\n')
          return { name, conclusion, log: withoutRunner(kind === 'post' ? noted : log) }
        }),
    })),
  }
}

/** Removes the lines that the runner adds to a step's log: the header, and masks. */
function withoutRunner(log: string): string[] {
  return log
    .replace(/##\[group\][\s\S]*?##\[endgroup\]\n?/g, '')
    .replace(/^::add-mask::.*\n?/gm, '')
    .replace(/^##\[(error|warning|notice)\]/gm, '$1: ')
    .split('\n')
    .filter(line => line.trim() !== '')
}

/** How the relay finishes a Port run that the action didn't finish. */
export interface RelayResult {
  status: 'SUCCESS' | 'FAILURE'
  label: string
  sentence: string
}

/** What the simulator asks of the relay, which isn't part of the simulator. */
export interface RelayDecisions {
  /** Returns the relay's result for a finished workflow run whose Port run is still in progress. */
  resultOf(run: SimulatedRun, repository: string): RelayResult
  /** Explains what GitHub and Port show if no workflow handles an event type. */
  nothingStarts(eventType: string): string
}

/** A run as Port would show it. */
export interface ShownRun {
  id: string
  kind: 'action_run' | 'node_run'
  /** Whether the run received any message. */
  isUpdated: boolean
  /** Whether the run is still in progress. */
  isOpen: boolean
  status: string
  /** A node run's result. */
  result?: string
  statusLabel?: string
  links: string[]
  log: string[]
  summary?: string
  /** A node run's output. */
  output?: Record<string, unknown>
  /** The final state of each written entity. */
  entities: Record<string, unknown>[]
  deleted: { blueprint: string; identifier: string }[]
}

/** Returns the run as Port would show it; null if the event names no run. */
export function readPort(port: PortApi, { run_id: id, port: about }: JsonObject): ShownRun | null {
  if (typeof id !== 'string') return null
  const isUpdated = port.requests.some(({ method, path }) => method !== 'GET' && path.includes(id))
  const common = { id, isUpdated, ...readEntities(port) }
  if ((about as JsonObject).kind === 'node_run') {
    const { status, result, statusLabel, links, logs, output } = port.nodeRun(id)
    const log = logs.flatMap(({ message }) => message.split('\n'))
    const isOpen = status !== 'COMPLETED'
    return { ...common, kind: 'node_run', isOpen, status, result, statusLabel, links, log, output }
  }
  const { status, statusLabel, link, summary, logs } = port.run(id)
  const log = logs.flatMap(({ message }) => message.split('\n'))
  const links = [link ?? []].flat()
  return {
    ...common,
    kind: 'action_run',
    isOpen: status === 'IN_PROGRESS',
    status,
    statusLabel,
    links,
    log,
    summary,
  }
}

function readEntities(port: PortApi): Pick<ShownRun, 'entities' | 'deleted'> {
  const deleted = port.requests.flatMap(({ method, path }) => {
    const [, blueprint, identifier] = /^\/v1\/blueprints\/([^/?]+)\/entities\/([^/?]+)/.exec(path) ?? []
    if (method !== 'DELETE' || !blueprint || !identifier) return []
    return [{ blueprint: decodeURIComponent(blueprint), identifier: decodeURIComponent(identifier) }]
  })
  const entities = port.entities.map(({ createdAt, updatedAt, runId, ...entity }) =>
    Object.fromEntries(
      Object.entries(entity).filter(([, value]) => value !== undefined && JSON.stringify(value) !== '{}'),
    ),
  )
  return { entities, deleted }
}
