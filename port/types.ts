export type Json = string | number | boolean | null | Json[] | JsonObject
export type JsonObject = { [key: string]: Json }

export const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter(item => typeof item === 'string') : []

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What the run ID identifies: the run of an action or automation, the run of a workflow's node, or nothing that accepts reports. */
export type RunKind = 'action_run' | 'node_run' | 'none'

/** The name and email address of a user. Other personal data from Port is dropped. */
export interface Trigger {
  by: { email: string | null; name: string | null } | null
  origin: string | null
  at: string | null
}

/** The contents of a webhook from Port. Input values keep their JSON type. */
export interface Invocation {
  runId: string | null
  /** Whether the run id comes from the signed body or from the unsigned `RUN_ID` header. */
  runIdFrom: 'body' | 'header' | null
  kind: RunKind
  /** The id of the Port workflow's run (`wfr_…`), for a node run. */
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
  /** The target in the signed body. `fault`: a message that explains why the target is invalid. */
  github: {
    repository: string | null
    eventType: string | null
    /** A file name or an id. */
    workflow: string | null
    ref: string | null
    fault: string | null
    /** Whether the relay and the action report the final status; false if another system reports it. */
    reportWorkflowStatus?: false
    /** Whether the relay runs the failed jobs once more if every failed job lost its runner. */
    rerun?: 'lost-runner'
  } | null
  /** Missing if the body has none of these facts, or if the relay no longer needs them. */
  forWorkflow?: ForWorkflow | undefined
}

/** Facts about a body that are needed only for the inputs of a `workflow_dispatch`. */
export interface ForWorkflow {
  /** An object or JSON text. The relay passes it to the workflow unchanged, because the author wrote its template. */
  port_context?: JsonObject | string
  port_payload?: JsonObject | string
  /** The names of the `inputs` that come from the author or from Port, not from a user. */
  notEntered?: string[]
  /** The names of the `inputs` that are nowhere in the body except inside `port_context` or `port_payload`. */
  inside?: string[]
}

export type LogLine = { level: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR'; message: string }

export interface RunUpdate {
  statusLabel?: string
  link?: string[]
  /** The summary in Markdown. */
  summary?: string
  /** The GitHub run id, in decimal. */
  externalRunId?: string
  /** The outputs of a node run, at most 64 KB, which replace all existing outputs. */
  output?: JsonObject
  /** Finishes the run, unless `job` is set. */
  conclusion?: Conclusion
  /** If set, the update is the result of a job, which the relay keeps until the workflow run has finished. */
  job?: ReportedJob
}

export type Conclusion = 'success' | 'failure' | 'cancelled'

export interface ReportedJob {
  id: number | null
  name: string
  /** The worst conclusion that the author set in `$PORT_RUN` or with the input `needs`. */
  author: Conclusion
  ownSummary: boolean
}

export interface RunState {
  status: 'in_progress' | 'waiting' | 'success' | 'failure' | 'cancelled' | 'unknown'
  finished: boolean
  externalRunId: string | null
  /** Whether a user canceled the Port workflow, which then waits until this node run has finished. */
  cancelling?: boolean
  /** Whether Port uses the webhook response as the result, and rejects status updates. */
  synchronized: boolean
  properties: JsonObject | null
  /** The webhook body as Port rendered it. */
  body: Json
}

/** `r_…` and the older `run_…` are action runs, `wfnr_…` is a node run. The prefix decides, never the length. */
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
