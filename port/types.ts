export type Json = string | number | boolean | null | Json[] | JsonObject
export type JsonObject = { [key: string]: Json }

export const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter(item => typeof item === 'string') : []

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What the run id identifies: an action or automation run, a workflow's node run, or nothing that accepts reports. */
export type RunKind = 'action_run' | 'node_run' | 'none'

/** Port sends more personal data, but only the name and the email address are kept. */
export interface Trigger {
  by: { email: string | null; name: string | null } | null
  origin: string | null
  at: string | null
}

/** What Port invokes, read from any body that Port sends. Input values keep their JSON type. */
export interface Invocation {
  runId: string | null
  /** Whether the run id comes from the signed body or only from the unsigned `RUN_ID` header. */
  runIdFrom: 'body' | 'header' | null
  kind: RunKind
  /** Of a node run, the run of its Port workflow (`wfr_…`). */
  workflowRunId?: string
  action: string | null
  /** `CREATE`, `DAY-2`, or `DELETE`. Legacy bodies may have other values. */
  operation: string | null
  blueprint: string | null
  /** The entity as Port sent it, or `{ identifier }` if the body contains only the identifier. */
  entity: JsonObject | null
  inputs: JsonObject
  /** The names of inputs with encrypted values. */
  encrypted: string[]
  /** The change that started an automation, or a change-log body. */
  event: Json
  trigger: Trigger | null
  /** The target that the signed body names. `fault` is a message that explains why the target can't be used. */
  github: {
    repository: string | null
    eventType: string | null
    /** A file name or an id. */
    workflow: string | null
    ref: string | null
    fault: string | null
    /** False if another system reports the final status of a workflow that has started. */
    reportWorkflowStatus?: false
    /** Whether the relay runs the workflow again, once, if every failed job lost its runner. */
    rerun?: 'lost-runner'
  } | null
  /** Absent if the body has none of these facts, or once the relay no longer needs these facts. */
  forWorkflow?: ForWorkflow | undefined
}

/** Facts about a body that are needed only for the inputs of a `workflow_dispatch`. */
export interface ForWorkflow {
  /** An object or JSON text. Passed unchanged, because the author wrote its template. */
  port_context?: JsonObject | string
  port_payload?: JsonObject | string
  /** The names of the `inputs` that the author or Port added, rather than a user. */
  notEntered?: string[]
  /** The names of the `inputs` that only `port_context` or `port_payload` has. The workflow gets these inputs there. */
  inside?: string[]
}

export type LogLine = { level: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR'; message: string }

export interface RunUpdate {
  statusLabel?: string
  link?: string[]
  /** Markdown. */
  summary?: string
  /** The GitHub run id, in decimal. */
  externalRunId?: string
  /** For node runs: replaces all existing outputs. At most 64 KB. */
  output?: JsonObject
  /** Finishes the run, unless `job` is set. */
  conclusion?: Conclusion
  /** Makes the update the result of a job. The relay keeps it until the workflow run has finished. */
  job?: ReportedJob
}

export type Conclusion = 'success' | 'failure' | 'cancelled'

export interface ReportedJob {
  /** Null on Enterprise Server. */
  id: number | null
  name: string
  /** The worst conclusion that the author set, in `$PORT_RUN` or by the input `needs`. */
  author: Conclusion
  ownSummary: boolean
}

export interface RunState {
  status: 'in_progress' | 'waiting' | 'success' | 'failure' | 'cancelled' | 'unknown'
  finished: boolean
  externalRunId: string | null
  /** Whether a user canceled the Port workflow. Port then waits for this node run to finish. */
  cancelling?: boolean
  /** Whether Port uses the webhook response as the result, and rejects status updates. */
  synchronized: boolean
  properties: JsonObject | null
  /** The webhook body as Port rendered it. */
  body: Json
}

/** `r_…`, older `run_…`: an action run. `wfnr_…`: a node run. The prefix decides, never the length. */
export function runKind(id: unknown): RunKind {
  if (typeof id !== 'string' || id.length > 100) return 'none'
  if (/^(r|run)_[A-Za-z0-9_-]+$/.test(id)) return 'action_run'
  return /^wfnr_[A-Za-z0-9_-]+$/.test(id) ? 'node_run' : 'none'
}

export const isWorkflowRunId = (id: unknown): id is string =>
  typeof id === 'string' && /^wfr_[A-Za-z0-9_-]{1,100}$/.test(id)

export function contextRunId(context: unknown): string | null {
  if (!isObject(context)) return null
  const found = [context.runId, context.nodeRunId].find(id => runKind(id) !== 'none')
  return typeof found === 'string' ? found : null
}
