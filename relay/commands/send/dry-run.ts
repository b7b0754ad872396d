import { type ClientPayload, packClientPayload } from '../../../port/client-payload.ts'
import { readInvocation } from '../../../port/invocation/read-invocation.ts'
import type { Invocation, JsonObject } from '../../../port/types.ts'
import type { Config } from '../../config/config.ts'
import { fitInputs, offerInputs } from '../../github/workflow-inputs.ts'
import type { Target } from '../../store/delivery.ts'
import { deliveryId } from '../../webhook/delivery-id.ts'
import { parseBody } from '../../webhook/parse.ts'
import { createTargets } from '../../webhook/target.ts'

/** What a relay of this configuration would do with a webhook. */
export interface DryRun {
  target: Target
  inputs: JsonObject
  request: { method: string; url: string; body: object }
}

/**
 * Reads a webhook as the relay does after its signature is verified.
 *
 * @param path of the webhook's URL, with its query
 * @param now ms since the epoch
 * @throws Problem where the relay would refuse it
 */
export function dryRun(
  config: Config,
  { body, url, runIdHeader, now }: { body: Uint8Array; url: URL; runIdHeader: string | null; now: number },
): DryRun {
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

/**
 * What a webhook to this address starts.
 *
 * @throws Problem where the relay would refuse it
 */
export function targetOf(config: Pick<Config, 'targets'>, invocation: Invocation, url: URL): Target {
  const named = /\/webhook\/([^/]+\/[^/]+)\/?$/.exec(url.pathname)?.[1]
  const { from: _, ...target } = createTargets(config.targets)(invocation, {
    repository: named ? decodeURIComponent(named) : null,
    eventType: url.searchParams.get('event_type') || null,
    workflow: url.searchParams.get('workflow') || null,
    ref: url.searchParams.get('ref') || null,
  })
  return target
}

/** Those that the relay sends as long as it doesn't know which ones the workflow declares. */
function firstInputs(invocation: Invocation, payload: ClientPayload): Record<string, string> {
  const fitted = fitInputs(offerInputs(invocation, payload), new Set())
  if ('inputs' in fitted) return fitted.inputs
  throw new Error('The inputs are more than GitHub takes: at most 65,535 characters together.')
}
