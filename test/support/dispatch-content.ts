import { readInvocation } from '../../port/invocation/invocation.ts'
import { packClientPayload } from '../../port/payload.ts'
import type { JsonObject } from '../../port/types.ts'

/** Returns the dispatch content for a body from Port, without RELAY_PUBLIC_URL. */
export function dispatchContent(body: JsonObject, relay: string | null = null) {
  const invocation = readInvocation(body)
  return { invocation, payload: packClientPayload(invocation, { delivery: 'd_1', relay }) }
}

/** Returns the dispatch content for form inputs. */
export const formContent = (inputs: JsonObject) =>
  dispatchContent({ run: { id: 'r_1' }, action: { identifier: 'deploy' }, inputs })
