import { cleanTriggers } from './clean-triggers.ts'
import { findRunId } from './find-run-id.ts'
import { isObject, type Json, type JsonObject } from './json.ts'
import { without } from './left-over.ts'
import { readDirective } from './read-directive.ts'
import { readShape } from './read-shape.ts'
import { type RunKind, runKind } from './run-kind.ts'
import { unwrapAgent } from './unwrap-agent.ts'

export { type RunKind, runKind } from './run-kind.ts'

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
  /** `CREATE`, `DAY-2` or `DELETE`; legacy bodies may say something of their own. */
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
  /** The signed body's own say in where to dispatch; `fault` is a sentence on why it cannot be followed. */
  github: { repository: string | null; eventType: string | null; fault: string | null } | null
}

/** What a body asks for: all but its run and its target. */
export type Asked = Omit<Invocation, 'runId' | 'runIdFrom' | 'kind' | 'github'>

/** What a body of one shape asks for, and the rest of it, which its author put beside. */
export type ShapeRead = Partial<Asked> & { inputs: JsonObject; rest: JsonObject }

/**
 * Reads an invocation from any JSON body Port may send: full context, legacy, the UI's default, flat,
 * automation, change log, workflow node, or a shape nobody has seen. No key is lost: what is not the shape's
 * is an input, unless an input of Port has its name. A body that came through Port's agent reads as its
 * author wrote it.
 *
 * @param body the parsed body; arrays and scalars become the one input `body`
 * @param runIdHeader the unsigned `RUN_ID` header, trusted least
 */
export function readInvocation(body: unknown, runIdHeader?: string | null): Invocation {
  const inBody = isObject(body) ? findRunId(body) : null
  const inHeader = runKind(runIdHeader) === 'none' ? null : (runIdHeader ?? null)
  const runId = inBody ?? inHeader
  return {
    ...readBody(unwrapAgent(body)),
    runId,
    runIdFrom: inBody ? 'body' : inHeader ? 'header' : null,
    kind: runKind(runId),
  }
}

function readBody(body: unknown): Asked & Pick<Invocation, 'github'> {
  const given = isObject(body) ? body : body === undefined ? {} : { body: body as Json }
  const github = readDirective(given.github)
  const asked = readShape(github ? without(given, 'github') : given)
  return { ...asked, inputs: cleanTriggers(asked.inputs), event: cleanTriggers(asked.event), github }
}
