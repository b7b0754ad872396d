import { createHmac } from 'node:crypto'
import { readInvocation } from '../port/invocation/invocation.ts'
import { type ClientPayload, packClientPayload } from '../port/payload.ts'
import { parseJson } from '../port/text.ts'
import { type Invocation, isObject, type JsonObject } from '../port/types.ts'
import type { Config } from '../relay/config/config.ts'
import type { Target } from '../relay/github/client.ts'
import { createTargets, readAddress } from '../relay/intake/target.ts'
import { deliveryId, parseBody } from '../relay/intake/verify.ts'
import { fitInputs, offerInputs } from '../workflow-files/dispatch-inputs.ts'
import { UsageError } from './command.ts'

/** Returns the recommended body, as Port renders it. `entity`: an identifier, or the whole entity as JSON. */
export function makeBody(
  action: string,
  inputs: JsonObject,
  { blueprint, operation, entity }: Record<'blueprint' | 'operation' | 'entity', string | null>,
  runId: string | null,
  now: number,
): JsonObject {
  return {
    inputs,
    trigger: {
      by: { user: { email: 'send@localhost', firstName: 'send', lastName: '' } },
      origin: 'API',
      at: new Date(now).toISOString(),
      operation: operation ?? (entity ? 'DAY-2' : 'CREATE'),
    },
    event: null,
    entity: entity ? readEntity(entity, blueprint) : {},
    action: { identifier: action, blueprint, encryptedProperties: [] },
    ...(runId && { run: { id: runId } }),
  }
}

function readEntity(text: string, blueprint: string | null): JsonObject {
  if (!text.trimStart().startsWith('{')) return { identifier: text, ...(blueprint && { blueprint }) }
  const entity = parseJson(text)
  if (isObject(entity)) return entity
  throw new UsageError('--entity must be an identifier, or the entity as a JSON object.')
}

export type DryRun = ReturnType<typeof dryRun>

/** Reads a webhook as the relay does, but doesn't verify its signature. @throws Problem if the relay would refuse the webhook */
export function dryRun(
  config: Config,
  { body, url, runIdHeader, now }: { body: Uint8Array; url: URL; runIdHeader: string | null; now: number },
) {
  const invocation = readInvocation(parseBody(body), runIdHeader)
  const target = targetOf(config, invocation, url)
  const payload = packClientPayload(invocation, { delivery: deliveryId(now), relay: config.publicUrl })
  const { inputs } = invocation
  const base = `${config.github.apiUrl}/repos/${target.repository}`
  const { eventType, workflow, ref } = target
  const request =
    workflow === null
      ? { url: `${base}/dispatches`, body: { event_type: eventType, client_payload: payload } }
      : {
          url: `${base}/actions/workflows/${encodeURIComponent(workflow)}/dispatches`,
          body: {
            ref: ref ?? '(the default branch)',
            inputs: firstInputs(invocation, payload),
            return_run_details: true,
          },
        }
  return { target, inputs, request: { method: 'POST', ...request } }
}

/** Returns the target of a webhook to this URL. @throws Problem if the relay would refuse the webhook */
export function targetOf(config: Pick<Config, 'targets'>, invocation: Invocation, url: URL): Target {
  // The relay's routes can be below another path, if a proxy is in front of the relay.
  const path = (url.pathname + url.search).replace(/^.*?(?=\/webhook([/?]|$))/, '')
  const { from: _, ...target } = createTargets(config.targets)(
    invocation,
    readAddress(`https://relay${path}`).url,
  )
  return target
}

/** Returns the inputs that the relay sends while it doesn't know which inputs the workflow declares. */
function firstInputs(invocation: Invocation, payload: ClientPayload): Record<string, string> {
  const fitted = fitInputs(offerInputs(invocation, payload, null), new Set())
  if ('inputs' in fitted) return fitted.inputs
  throw new Error("The inputs exceed GitHub's limit of 65,535 characters in total.")
}

/** Returns the headers that Port sends. The signature covers the timestamp, a dot, and the body. */
export function signWebhook(body: Uint8Array, secret: string, now: number): Record<string, string> {
  const timestamp = String(Math.floor(now / 1000))
  const signature = createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest('base64')
  return {
    'content-type': 'application/json',
    'x-port-timestamp': timestamp,
    'x-port-signature': `v1,${signature}`,
  }
}
