import { type Asked, type Invocation, isObject, type Json } from '../types.ts'
import { cleanTriggers } from './clean-triggers.ts'
import { findRunId } from './find-run-id.ts'
import { readBodyTarget } from './read-body-target.ts'
import { readShape } from './read-shape.ts'
import { object } from './read-value.ts'
import { runKind } from './run-kind.ts'
import { spreadsInputs } from './spreads-inputs.ts'
import { without } from './unknown-fields.ts'
import { unwrapAgent } from './unwrap-agent.ts'

/**
 * Reads an invocation from any JSON body Port may send: full context, legacy, the UI's default, flat,
 * automation, change log, workflow node, or an unknown shape. No key is lost: what is not the shape's
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
  const place = spreadsInputs(given) ? object(given.port_context) : given
  const github = readBodyTarget(place.github)
  const rest = github ? without(place, 'github') : place
  const asked = readShape(place === given ? rest : { ...given, port_context: rest })
  return { ...asked, inputs: cleanTriggers(asked.inputs), event: cleanTriggers(asked.event), github }
}
