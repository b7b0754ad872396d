/** Any JSON value. */
export type Json = string | number | boolean | null | Json[] | JsonObject
export type JsonObject = { [key: string]: Json }

/** True for a JSON object: not an array, not null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What the run id identifies in Port: a run of a self-service action or automation, a node run of a Port workflow, or nothing that accepts reports. */
export type RunKind = 'action_run' | 'node_run' | 'none'

/** Who or what started the run. Port sends more personal data; only name and e-mail are kept. */
export interface Trigger {
  by: { email: string | null; name: string | null } | null
  origin: string | null
  /** ISO 8601, as Port sent it. */
  at: string | null
}

/** What Port invokes, read from any body that it sends. Input values keep their JSON type. */
export interface Invocation {
  runId: string | null
  /** Whether the run id was in the signed body or only in the unsigned `RUN_ID` header. */
  runIdFrom: 'body' | 'header' | null
  kind: RunKind
  action: string | null
  /** `CREATE`, `DAY-2` or `DELETE`; legacy bodies may have other values. */
  operation: string | null
  blueprint: string | null
  /** The entity as Port sent it, or `{ identifier }` if the body has only that. */
  entity: JsonObject | null
  inputs: JsonObject
  /** Names of the inputs whose values are encrypted. */
  encrypted: string[]
  /** The change that started an automation, or a change-log body. */
  event: Json
  trigger: Trigger | null
  /** The target that the signed body names; `fault` is a sentence on why it can't be used. */
  github: {
    repository: string | null
    eventType: string | null
    /** A file name or an id. */
    workflow: string | null
    ref: string | null
    fault: string | null
  } | null
  /** Absent if the body has none of it, and once it isn't needed anymore. */
  forWorkflow?: ForWorkflow | undefined
}

/** Facts about a body that only the inputs of a `workflow_dispatch` need. */
export interface ForWorkflow {
  /** As they came: an object, or JSON text. The author templated them, so they travel as they are. */
  port_context?: JsonObject | string
  port_payload?: JsonObject | string
  /** Names of `inputs` that no user entered: the author put them next to the form, or Port did. */
  notEntered?: string[]
  /** Names of `inputs` that are only inside `port_context` or `port_payload`, and travel in those. */
  inside?: string[]
}

/** A line of a run's log in Port. */
export interface LogLine {
  level: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR'
  message: string
}

/** A change to a run in Port. */
export interface RunUpdate {
  /** Shown next to the status. */
  statusLabel?: string
  link?: string[]
  /** Markdown. */
  summary?: string
  /** The GitHub run id, in decimal. */
  externalRunId?: string
  /** Of a node run: replaces all that Port has. At most 64 KB. */
  output?: JsonObject
  /** Finishes the run. */
  conclusion?: 'success' | 'failure' | 'cancelled'
}

/** A run as Port shows it. */
export interface RunState {
  status: 'in_progress' | 'waiting' | 'success' | 'failure' | 'cancelled' | 'unknown'
  ended: boolean
  externalRunId: string | null
  /** A user canceled the Port workflow, which waits for this node run to finish. */
  cancelling?: boolean
  /** Port uses the response to the webhook as the result, and rejects status updates. */
  synchronized: boolean
  /** The inputs. */
  properties: JsonObject | null
  /** The webhook's body as Port rendered it. */
  body: Json
}

/** `r_…`, older `run_…`: an action run. `wfnr_…`: a node run. Matched by prefix, never by length. */
export function runKind(id: unknown): RunKind {
  if (typeof id !== 'string' || id.length > 100) return 'none'
  if (/^(r|run)_[A-Za-z0-9_-]+$/.test(id)) return 'action_run'
  return /^wfnr_[A-Za-z0-9_-]+$/.test(id) ? 'node_run' : 'none'
}

/** The run id that a body's `context` carries: `runId`, or `nodeRunId` in a node of a Port workflow. */
export function contextRunId(context: unknown): string | null {
  if (!isObject(context)) return null
  const found = [context.runId, context.nodeRunId].find(id => runKind(id) !== 'none')
  return typeof found === 'string' ? found : null
}
