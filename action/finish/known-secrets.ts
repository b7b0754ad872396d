import type { ClientPayload } from '../../port/client-payload.ts'
import { completePayload } from '../report/complete-payload.ts'
import type { RelayReporter } from '../report/relay-reporter.ts'
import type { Reporter } from '../report/reporter-contract.ts'
import type { Inputs } from '../runner/inputs.ts'
import { type OpenedSecrets, openSecrets } from '../secrets/decrypt-inputs.ts'

/** What must not reach Port in a log line or summary. */
export interface KnownSecrets {
  /** The clear texts of secret inputs. */
  secrets: string[]
  /** Whether no clear text that a step may have seen is missing. */
  all: boolean
}

/**
 * Asks for what the payload does not hold. Where that fails, or one that main has opened is not opened again, since a
 * secret was rotated meanwhile, the steps of the job may have seen what is unknown here.
 *
 * @param opened the names of those that main has opened
 */
export async function knownSecrets(
  payload: ClientPayload,
  inputs: Inputs,
  opened: string[],
  reporter: Pick<Reporter, 'read'>,
  relay: Pick<RelayReporter, 'inputs'> | null = null,
): Promise<KnownSecrets> {
  const { encrypted, truncated } = payload.port
  if (relay) {
    if (encrypted.length === 0 && !truncated.includes('encrypted')) return { secrets: [], all: true }
    const given = await relay.inputs().catch(() => null)
    if (!given) return { secrets: [], all: false }
    const whole = { ...payload, port: { ...payload.port, ...given.payload } }
    return known(openSecrets(whole, inputs, given.secrets), opened)
  }
  const away = truncated.includes('encrypted') || encrypted.some(name => truncated.includes(`inputs.${name}`))
  const whole = away ? await completePayload(payload, reporter.read).catch(() => null) : payload
  const { secrets, all } = known(openSecrets(whole ?? payload, inputs), opened)
  return { secrets, all: all && whole !== null }
}

const known = ({ secrets }: OpenedSecrets, opened: string[]): KnownSecrets => ({
  secrets: [...secrets.values()],
  all: opened.every(name => secrets.has(name)),
})
