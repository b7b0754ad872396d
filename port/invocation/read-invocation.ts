import { type Asked, type ForWorkflow, type Invocation, isObject, type Json } from '../types.ts'
import { cleanTriggers } from './clean-triggers.ts'
import { contextsOf, withContextsRead } from './context-text.ts'
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
 * @param given the parsed body; arrays and scalars become the one input `body`
 * @param runIdHeader the unsigned `RUN_ID` header, trusted least
 */
export function readInvocation(given: unknown, runIdHeader?: string | null): Invocation {
  const ofAuthor = unwrapAgent(given)
  const body = withContextsRead(ofAuthor)
  const whole = ofAuthor === given ? body : withContextsRead(given)
  const inBody = isObject(whole) ? findRunId(whole) : null
  const inHeader = runKind(runIdHeader) === 'none' ? null : (runIdHeader ?? null)
  const runId = inBody ?? inHeader
  const { entered, own, ...asked } = readBody(body)
  return {
    ...asked,
    runId,
    runIdFrom: inBody ? 'body' : inHeader ? 'header' : null,
    kind: runKind(runId),
    forWorkflow: forWorkflow(contextsOf(ofAuthor, body), { inputs: asked.inputs, entered, own, runId }),
  }
}

function forWorkflow(
  contexts: ForWorkflow,
  { inputs, entered, own, runId }: Pick<Asked, 'inputs' | 'entered' | 'own'> & { runId: string | null },
): ForWorkflow | undefined {
  const names = Object.keys(inputs)
  // No user knows the id of the run that the form starts.
  const isEntered = (name: string) =>
    Object.hasOwn(entered, name) && (runId === null || entered[name] !== runId)
  const isBeside = (name: string) => Object.hasOwn(own, name) || Object.hasOwn(entered, name)
  const others = names.filter(name => !isEntered(name))
  const [notEntered, inside] = [others.filter(isBeside), others.filter(name => !isBeside(name))]
  const read: ForWorkflow = {
    ...contexts,
    ...(notEntered.length > 0 && { notEntered }),
    ...(inside.length > 0 && { inside }),
  }
  return Object.keys(read).length > 0 ? read : undefined
}

function readBody(body: unknown): Asked & Pick<Invocation, 'github'> {
  const given = isObject(body) ? body : body === undefined ? {} : { body: body as Json }
  const place = spreadsInputs(given) ? object(given.port_context) : given
  const github = readBodyTarget(place.github)
  const rest = github ? without(place, 'github') : place
  const asked = readShape(place === given ? rest : { ...given, port_context: rest })
  return { ...asked, inputs: cleanTriggers(asked.inputs), event: cleanTriggers(asked.event), github }
}
