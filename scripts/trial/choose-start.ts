import { type ClientPayload, readClientPayload } from '../../port/client-payload.ts'
import type { Invocation, JsonObject } from '../../port/types.ts'
import { fitInputs, offeredNames, offerInputs } from '../../relay/github/workflow-inputs.ts'
import { tooLargeSentence, undeclaredSentence } from '../../relay/github/workflow-refusal.ts'
import type { TrialEvent } from './read-event.ts'
import type { TrialWorkflow } from './read-trial-workflow.ts'
import { nothingStarts } from './relay-end.ts'

/** The event that starts a workflow, as the player takes it. */
export interface Start {
  event: { name: string; payload: JsonObject }
  /** As messages name it. */
  title: string
}

/**
 * Dispatches as the relay would: by `workflow_dispatch` where the workflow listens to nothing else of the relay's, or
 * the body names a workflow.
 *
 * @param type of `--type`
 * @throws Error with a sentence where nothing would start, as GitHub reports no error then
 */
export function chooseStart(type: string | undefined, event: TrialEvent, workflow: TrialWorkflow): Start {
  const { name, types, inputs } = workflow
  if (inputs && (!types || (event.namesWorkflow && type === undefined))) {
    if (type !== undefined)
      throw new Error(`${name} listens to workflow_dispatch, which has no type: leave --type out.`)
    return {
      title: 'workflow_dispatch',
      event: { name: 'workflow_dispatch', payload: { inputs: given(event, workflow, inputs) } },
    }
  }
  const chosen = type ?? event.type ?? types?.[0] ?? 'port_action'
  if (types && types.length > 0 && !types.includes(chosen)) {
    throw new Error(
      `${name} does not listen to repository_dispatch of type ${chosen}, only to ${types.join(', ')}. The type is the ` +
        "identifier of the Port action, unless the webhook's address or the relay's routes set another: then name it by " +
        `--type. ${nothingStarts(chosen)}`,
    )
  }
  return {
    title: `repository_dispatch of type ${chosen}`,
    event: { name: 'repository_dispatch', payload: { event_type: chosen, client_payload: event.payload } },
  }
}

/**
 * As the relay sends them, once GitHub has named what the workflow doesn't declare.
 *
 * @throws Error with the relay's sentence where it would send nothing
 */
function given(event: TrialEvent, { name }: TrialWorkflow, declared: string[]): Record<string, string> {
  const payload = readClientPayload(event.payload) as ClientPayload
  const { run_id: runId, action, port } = payload
  const invocation: Invocation = event.invocation ?? {
    ...port,
    ...{ runId, action, runIdFrom: 'body', github: null },
  }
  const offer = offerInputs(invocation, payload)
  const fitted = fitInputs(offer, new Set(offeredNames(offer).filter(each => !declared.includes(each))))
  if ('inputs' in fitted) return fitted.inputs
  const dispatched = { repository: 'this folder', workflow: name, ref: 'main' }
  throw new Error(
    'undeclared' in fitted
      ? undeclaredSentence(dispatched, fitted.undeclared, declared)
      : tooLargeSentence(dispatched, fitted.tooLarge),
  )
}
