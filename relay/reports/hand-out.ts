import { decryptSecretInput } from '../../port/secrets.ts'
import type { Invocation } from '../../port/types.ts'

/** What the run that a delivery is bound to may have beyond its client payload. */
export interface HandOut {
  /** The parts of which something did not fit the payload, whole. */
  payload: Pick<Invocation, 'inputs' | 'encrypted' | 'entity' | 'event'> | null
  /** Secret inputs in clear, by name. One that none of the relay's secrets decrypts is missing: it has the other scheme, or an older secret. */
  secrets: Record<string, string>
}

/**
 * @param invocation as it is stored, where what is encrypted stays so
 * @param clientSecrets each that Port may have encrypted with
 */
export function handOut(invocation: Invocation, complete: boolean, clientSecrets: string[]): HandOut {
  const { inputs, encrypted, entity, event } = invocation
  const keys = clientSecrets.map(clientSecret => ({ scheme: 'aes256-gcm' as const, clientSecret }))
  const secrets: [string, string][] = []
  for (const name of encrypted) {
    const value = Object.hasOwn(inputs, name) ? inputs[name] : undefined
    const clear = typeof value === 'string' ? decryptSecretInput(value, keys) : null
    if (clear !== null) secrets.push([name, clear])
  }
  return {
    payload: complete ? { inputs, encrypted, entity, event } : null,
    secrets: Object.fromEntries(secrets),
  }
}
