/** Any value that JSON can write. */
export type Json = string | number | boolean | null | Json[] | JsonObject
export type JsonObject = { [key: string]: Json }

/** True for a JSON object: not an array, not null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What the run id names in Port: a run of a self-service action or automation, a node run of a Port workflow, or nothing that can be reported to. */
export type RunKind = 'action_run' | 'node_run' | 'none'

/** Who or what started it. Port sends more personal data than this; no more than name and e-mail is kept. */
export interface Trigger {
  by: { email: string | null; name: string | null } | null
  origin: string | null
  /** ISO 8601, as Port sent it. */
  at: string | null
}

/** What Port asks for, read from any body it sends. Input values keep their JSON type. */
export interface Invocation {
  runId: string | null
  /** Whether the run id stood in the signed body or only in the unsigned `RUN_ID` header. */
  runIdFrom: 'body' | 'header' | null
  kind: RunKind
  action: string | null
  /** `CREATE`, `DAY-2` or `DELETE`; legacy bodies may have other values. */
  operation: string | null
  blueprint: string | null
  /** The entity as Port sent it, or `{ identifier }` where the body carries only that. */
  entity: JsonObject | null
  inputs: JsonObject
  /** Names of the inputs whose values are encrypted. */
  encrypted: string[]
  /** The change that started an automation, or a change-log body. */
  event: Json
  trigger: Trigger | null
  /** The target that the signed body names; `fault` is a sentence on why it cannot be followed. */
  github: {
    repository: string | null
    eventType: string | null
    /** A file name or an id. */
    workflow: string | null
    ref: string | null
    fault: string | null
  } | null
  /** Absent where the body has nothing of it, and where it isn't needed any more. */
  forWorkflow?: ForWorkflow | undefined
}

/** What only the inputs of a `workflow_dispatch` need to know of a body. */
export interface ForWorkflow {
  /** As they came: an object, or JSON text. The author templated them, so they travel as they are. */
  port_context?: JsonObject | string
  port_payload?: JsonObject | string
  /** Names of `inputs` that no user entered: the author put them next to the form, or Port did. */
  notEntered?: string[]
  /** Names of `inputs` that are only inside `port_context` or `port_payload`, and travel in those. */
  inside?: string[]
}

/** What a body asks for: all but its run and its target. */
export type Asked = Omit<Invocation, 'runId' | 'runIdFrom' | 'kind' | 'github' | 'forWorkflow'> & {
  /** Those of `inputs` that a user entered. */
  entered: JsonObject
  /** Those of `inputs` that stand in the body next to the form. */
  own: JsonObject
}

/** What a body of one shape asks for, and the rest of it, which its author put beside. */
export type ShapeRead = Partial<Asked> & { inputs: JsonObject; rest: JsonObject }

/** A line of a run's log in Port. */
export interface LogLine {
  level: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR'
  message: string
}

/** What a run shows in Port. */
export interface RunUpdate {
  /** What Port shows beside the status. */
  statusLabel?: string
  link?: string[]
  /** Markdown. */
  summary?: string
  /** The GitHub run id, in decimal. */
  externalRunId?: string
  /** Ends the run. */
  conclusion?: 'success' | 'failure' | 'cancelled'
}

/** A run as Port shows it. */
export interface RunState {
  status: 'in_progress' | 'waiting' | 'success' | 'failure' | 'cancelled' | 'unknown'
  ended: boolean
  externalRunId: string | null
  /** A person has cancelled the Port workflow, which waits for this node run to end. */
  cancelling?: boolean
  /** Port takes the answer to the webhook as the result, and refuses every other. */
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
