import { type Invocation, isObject, type JsonObject } from './types.ts'

/**
 * Port's own context as the workflows of its guides read it, for a body that doesn't have it: `entity` is the whole
 * entity, and `context` is what older guides read. Of the user, it has no more than name and e-mail.
 *
 * @see https://docs.port.io/actions-and-automations/setup-backend/github-workflow/
 */
export function guideContext(invocation: Invocation): JsonObject {
  const { runId, blueprint, entity, action, operation, trigger } = invocation
  const identifier = isObject(entity) ? (entity.identifier ?? null) : null
  return {
    runId,
    run_id: runId,
    blueprint,
    entity,
    action,
    requestedBy: trigger?.by?.email ?? null,
    trigger: trigger && {
      by: { user: trigger.by && { ...trigger.by } },
      origin: trigger.origin,
      at: trigger.at,
      operation,
    },
    context: { runId, blueprint, entity: identifier },
  }
}

/** The same with the inputs and the event, in the shape of Port's older actions. */
export function guidePayload(invocation: Invocation): JsonObject {
  const { runId, entity, inputs, event } = invocation
  return {
    ...guideContext(invocation),
    run: { id: runId },
    payload: { entity, properties: inputs },
    event,
  }
}
