import type { ClientPayload } from '../port/client-payload.ts'
import { completePayload } from './complete-payload.ts'
import type { Inputs } from './inputs.ts'
import { openSecrets } from './open-secrets.ts'
import type { RelayReporter } from './relay-reporter.ts'
import type { Reporter } from './reporter.ts'

/** What must not reach Port in a log line or summary: the settings' own, and the clear texts of secret inputs. */
export async function knownSecrets(
  payload: ClientPayload,
  inputs: Inputs,
  reporter: Pick<Reporter, 'read'>,
  relay: Pick<RelayReporter, 'inputs'> | null = null,
): Promise<string[]> {
  if (relay) return [...(await fromRelay(payload, inputs, relay)), inputs.secretKey]
  const { encrypted, truncated } = payload.port
  const away = truncated.includes('encrypted') || encrypted.some(name => truncated.includes(`inputs.${name}`))
  // A rest that cannot be fetched has failed the job in main: then no step has seen its clear text.
  const whole = away ? await completePayload(payload, reporter.read).catch(() => payload) : payload
  return [...openSecrets(whole, inputs).secrets, inputs.portClientSecret, inputs.secretKey]
}

/** Without an answer, as of a relay that is gone, nothing can be sent through it either. */
async function fromRelay(
  payload: ClientPayload,
  inputs: Inputs,
  relay: Pick<RelayReporter, 'inputs'>,
): Promise<string[]> {
  if (payload.port.encrypted.length === 0 && !payload.port.truncated.includes('encrypted')) return []
  const given = await relay.inputs().catch(() => null)
  if (!given) return []
  const whole = { ...payload, port: { ...payload.port, ...given.payload } }
  return openSecrets(whole, inputs, given.secrets).secrets
}
