import type { JsonObject } from '../../port/types.ts'
import type { PortApi } from '../../test/support/port-api.ts'

/** A run as Port would show it. */
export interface ShownRun {
  id: string
  kind: 'action_run' | 'node_run'
  /** Whether anything was sent to it. */
  isUpdated: boolean
  /** Whether it is still in progress. */
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
  /** What was written, in full, as it stands at the end. */
  entities: Record<string, unknown>[]
  deleted: { blueprint: string; identifier: string }[]
}

/** Reads what Port would show of the run; null where the event names none. */
export function readPort(port: PortApi, { run_id: id, port: about }: JsonObject): ShownRun | null {
  if (typeof id !== 'string') return null
  const isUpdated = port.requests.some(({ method, path }) => method !== 'GET' && path.includes(id))
  const common = { id, isUpdated, ...readEntities(port) }
  if ((about as JsonObject).kind === 'node_run') {
    const { status, result, links, logs, output } = port.nodeRun(id)
    const log = logs.flatMap(({ message }) => message.split('\n'))
    return { ...common, kind: 'node_run', isOpen: status !== 'COMPLETED', status, result, links, log, output }
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
