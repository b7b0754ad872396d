import { type Invocation, isObject, type JsonObject, type Trigger, texts } from './types.ts'

const VERSION = 1

/**
 * The maximum size of the payload. GitHub accepts 65,535 characters, or maybe bytes, for the whole request.
 * @see https://docs.github.com/rest/repos/repos#create-a-repository-dispatch-event
 */
const MAX_PAYLOAD_BYTES = 64_000
/** The size of `"a":1,`, the smallest input in JSON, in bytes. */
const LEAST_INPUT = 5

/** The `github.event.client_payload` that the relay sends: three top-level keys. GitHub allows ten. */
export type ClientPayload = {
  run_id: string | null
  action: string | null
  port: {
    version: 1
    delivery: string
    /** The URL for reports, which is also the exact audience of the action's OIDC token; null without `RELAY_PUBLIC_URL`. */
    relay: string | null
    traceparent?: string
    /** False if another system reports the final status; otherwise missing. */
    reportWorkflowStatus?: false
    /** The items that didn't fit: `inputs.<name>`, `entity`, `event`, or `inputs` (all inputs and `encrypted`). */
    truncated: string[]
  } & Pick<
    Invocation,
    'kind' | 'operation' | 'blueprint' | 'entity' | 'inputs' | 'encrypted' | 'event' | 'trigger'
  >
}

/** Returns the payload for a `repository_dispatch`. `truncated` names the items that don't fit. The action fetches these items. */
export function packClientPayload(
  invocation: Invocation,
  options: { delivery: string; relay: string | null; traceparent?: string },
  maxBytes = MAX_PAYLOAD_BYTES,
): ClientPayload {
  const { kind, operation, blueprint, entity, inputs, encrypted, event, trigger, github } = invocation
  const { delivery, relay, traceparent } = options
  const payload: ClientPayload = {
    run_id: invocation.runId,
    action: invocation.action,
    port: {
      ...{ version: VERSION, delivery, kind, operation, blueprint, entity, inputs },
      ...{ encrypted, event, trigger, relay },
      ...(traceparent && { traceparent }),
      ...(github?.reportWorkflowStatus === false && { reportWorkflowStatus: false }),
      truncated: [],
    },
  }
  leaveOutLargest(payload, maxBytes)
  return payload
}

/** Returns the payload with at most `maxBytes` of JSON. Omits the largest items first, and lists them in `truncated`. */
export function shrinkClientPayload(payload: ClientPayload, maxBytes: number): ClientPayload {
  const copy = structuredClone(payload)
  leaveOutLargest(copy, maxBytes)
  return copy
}

function leaveOutLargest(payload: ClientPayload, maxBytes: number): void {
  const { port } = payload
  // Each input needs at least LEAST_INPUT bytes, even if only its name is in `truncated`. If that is too much, all inputs are omitted.
  if (Object.keys(port.inputs).length * LEAST_INPUT > maxBytes) leaveOutInputs(port)
  let excess = bytes(payload) - maxBytes
  if (excess <= 0) return
  port.inputs = { ...port.inputs }
  // `excess` can be wrong by a few commas, so the payload is measured if `excess` is small.
  const fits = () => excess <= 0 || (excess < 8 && bytes(payload) <= maxBytes)
  const large = [
    ...Object.entries(port.inputs).map(([name, value]) => ({
      name: `inputs.${name}`,
      size: bytes(name) + bytes(value) + 2,
      remove: () => delete port.inputs[name],
    })),
    { name: 'entity', size: bytes(port.entity) - 4, remove: () => (port.entity = null) },
    { name: 'event', size: bytes(port.event) - 4, remove: () => (port.event = null) },
  ]
    .filter(part => part.size > 2 * bytes(part.name))
    .sort((a, b) => b.size - a.size)
  for (const { name, size, remove } of large) {
    if (fits()) return
    remove()
    port.truncated.push(name)
    excess -= size - bytes(name) - 1
  }
  if (!fits()) leaveOutInputs(port)
}

/** Omits all inputs as one item, because the names of thousands of inputs wouldn't fit in `truncated`. */
function leaveOutInputs(port: ClientPayload['port']): void {
  port.truncated = port.truncated.filter(name => !name.startsWith('inputs.'))
  port.inputs = {}
  port.encrypted = []
  port.truncated.push('inputs', 'encrypted')
}

/** Returns a payload that the relay sent; null for other values. @throws Error with a message if the version isn't supported */
export function readClientPayload(value: unknown): ClientPayload | null {
  if (!isObject(value) || !isObject(value.port) || !('version' in value.port)) return null
  const { port } = value
  if (port.version !== VERSION) {
    throw new Error(
      `This payload has version ${JSON.stringify(port.version)}, but this action supports only version ${VERSION}: ` +
        'update the action (uses: …/port-webhook-action@<newer>) or the relay, so that both come from the same release.',
    )
  }
  if (typeof port.delivery !== 'string' || !isObject(port.inputs)) return null
  const traceparent = text(port.traceparent)
  const trigger = isObject(port.trigger) ? (port.trigger as unknown as Trigger) : null
  return {
    run_id: text(value.run_id),
    action: text(value.action),
    port: {
      version: VERSION,
      delivery: port.delivery,
      kind: port.kind === 'action_run' || port.kind === 'node_run' ? port.kind : 'none',
      operation: text(port.operation),
      blueprint: text(port.blueprint),
      entity: isObject(port.entity) ? port.entity : null,
      inputs: port.inputs,
      encrypted: texts(port.encrypted),
      event: port.event ?? null,
      trigger,
      relay: text(port.relay),
      ...(traceparent && TRACEPARENT.test(traceparent) && { traceparent }),
      ...(port.reportWorkflowStatus === false && { reportWorkflowStatus: false }),
      truncated: texts(port.truncated),
    },
  }
}

/** @see https://www.w3.org/TR/trace-context/#traceparent-header */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

const bytes = (value: unknown) => Buffer.byteLength(JSON.stringify(value) ?? '')
const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)

/**
 * Returns Port's context for a body without a context, in the format that the workflows in Port's guides read.
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

/** Returns the context with the inputs and the event, in the format of Port's older actions. */
export function guidePayload(invocation: Invocation): JsonObject {
  const { runId, entity, inputs, event } = invocation
  return { ...guideContext(invocation), run: { id: runId }, payload: { entity, properties: inputs }, event }
}
