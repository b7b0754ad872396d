import type { PortError } from '../port/client/client.ts'
import type { ClientPayload } from '../port/payload.ts'
import type { RelayReporter } from './reporter/relay.ts'
import type { Reporter } from './reporter/reporter.ts'
import type { Inputs } from './runner/inputs.ts'
import { completePayload } from './runner/payload.ts'
import { type DecryptedInputs, decryptInputs } from './secrets/decrypt.ts'

/** What must not reach Port in a log line or summary. */
export interface KnownSecrets {
  /** The clear texts of secret inputs, and what may be one. */
  secrets: string[]
  /** Whether no clear text that a step may have seen is missing. */
  all: boolean
  /** Whether the delivery has finished, so that the relay no longer gives them. */
  ended?: boolean
}

/**
 * Fetches what the payload does not hold. Where that fails, or one that main has decrypted cannot be decrypted again, since a
 * secret was rotated meanwhile, the steps of the job may have seen what is unknown here.
 *
 * @param decrypted the names of the inputs that main has decrypted
 */
export async function knownSecrets(
  payload: ClientPayload,
  inputs: Inputs,
  decrypted: string[],
  reporter: Pick<Reporter, 'read'>,
  relay: Pick<RelayReporter, 'inputs'> | null = null,
): Promise<KnownSecrets> {
  const { encrypted, truncated } = payload.port
  if (relay) {
    if (encrypted.length === 0 && !truncated.includes('encrypted')) return { secrets: [], all: true }
    const given = await relay.inputs().catch((error: PortError) => error)
    if (given instanceof Error) return { secrets: [], all: false, ended: given.kind === 'ended' }
    const whole = { ...payload, port: { ...payload.port, ...given.payload } }
    return known(decryptInputs(whole, inputs, given.secrets), decrypted)
  }
  const away = truncated.includes('encrypted') || encrypted.some(name => truncated.includes(`inputs.${name}`))
  const whole = away ? await completePayload(payload, reporter.read).catch(() => null) : payload
  const { secrets, all } = known(decryptInputs(whole ?? payload, inputs), decrypted)
  return { secrets, all: all && whole !== null }
}

const known = ({ secrets, masks }: DecryptedInputs, decrypted: string[]): KnownSecrets => ({
  secrets: masks,
  all: decrypted.every(name => secrets.has(name)),
})
