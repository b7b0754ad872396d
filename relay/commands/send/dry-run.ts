import { type ClientPayload, packClientPayload } from '../../../port/client-payload.ts'
import { readInvocation } from '../../../port/invocation/read-invocation.ts'
import type { JsonObject } from '../../../port/types.ts'
import type { Config } from '../../config/config.ts'
import { split } from '../../github/split.ts'
import { deliveryId } from '../../webhook/delivery-id.ts'
import { parseBody } from '../../webhook/parse.ts'
import { createTargets, type Target } from '../../webhook/target.ts'

/** What a relay of this configuration would do with a webhook. */
export interface DryRun {
  target: Target
  inputs: JsonObject
  request: { method: string; url: string; body: { event_type: string; client_payload: ClientPayload } }
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
  const named = /\/webhook\/([^/]+\/[^/]+)\/?$/.exec(url.pathname)?.[1]
  const target = createTargets(config.targets)(invocation, {
    repository: named ? decodeURIComponent(named) : null,
    eventType: url.searchParams.get('event_type') || null,
  })
  const [owner, repo] = split(target.repository)
  const payload = packClientPayload(invocation, { delivery: deliveryId(now), relay: config.publicUrl })
  return {
    target,
    inputs: invocation.inputs,
    request: {
      method: 'POST',
      url: `${config.github.apiUrl}/repos/${owner}/${repo}/dispatches`,
      body: { event_type: target.eventType, client_payload: payload },
    },
  }
}
