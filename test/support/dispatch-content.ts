import { readInvocation } from '../../port/invocation/invocation.ts'
import { packClientPayload } from '../../port/payload.ts'
import type { JsonObject } from '../../port/types.ts'

/** The dispatched content of a body that Port sends, without RELAY_PUBLIC_URL. */
export function dispatchContent(body: JsonObject, relay: string | null = null) {
  const invocation = readInvocation(body)
  return { invocation, payload: packClientPayload(invocation, { delivery: 'd_1', relay }) }
}

/** The same for inputs of the form. */
export const formContent = (inputs: JsonObject) =>
  dispatchContent({ run: { id: 'r_1' }, action: { identifier: 'deploy' }, inputs })
