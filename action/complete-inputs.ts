import type { PortError } from '../port/client/client.ts'
import type { ClientPayload } from '../port/payload.ts'
import type { RunState } from '../port/types.ts'
import type { RelayReporter } from './reporter/relay.ts'
import type { Reporter } from './reporter/reporter.ts'
import type { Inputs } from './runner/inputs.ts'
import { completePayload } from './runner/payload.ts'
import { help, type Runner } from './runner/runner.ts'
import { type DecryptedInputs, decryptInputs } from './secrets/decrypt.ts'

// The whole payload, and its secret inputs in clear text: for the outputs of main, and for what post has to redact.

export interface CompleteInputs {
  /** The payload with what did not fit; its secret inputs are encrypted. */
  payload: ClientPayload
  decrypted: DecryptedInputs
  /** Why something is missing, as sentences. The job fails. */
  problems: string[]
  /** The run in Port, if another workflow run has the delivery. */
  duplicate: RunState | null
}

/**
 * Fetches what the payload lacks, and decrypts its secret inputs.
 *
 * @param relay null if the job has credentials of Port, or can't use the relay
 * @param readRun null if Port can't be asked
 */
export async function completeInputs(
  sent: ClientPayload,
  inputs: Inputs,
  sources: { relay: RelayReporter | null; readRun: (() => Promise<RunState>) | null },
  env: Runner['env'],
): Promise<CompleteInputs> {
  if (!sources.relay) {
    const { payload, problems } = await fromPort(sent, sources.readRun, env)
    const decrypted = decryptInputs(payload, inputs)
    return {
      payload,
      decrypted,
      problems: [...problems, ...describeUndecrypted(decrypted, env)],
      duplicate: null,
    }
  }
  const { payload, secrets, duplicate, withheld, refusal } = await fromRelay(sent, sources.relay)
  const decrypted = decryptInputs(payload, inputs, secrets, withheld)
  const encrypted = decrypted.encrypted.filter(name => withheld.includes(name))
  const missing = refusal ? describeMissing(refusal, payload.port.truncated, encrypted, env) : []
  return { payload, decrypted, problems: [...missing, ...describeUndecrypted(decrypted, env)], duplicate }
}

const describeUndecrypted = ({ problems }: DecryptedInputs, env: Runner['env']) =>
  problems.map(problem => problem + help(env, 'secret-inputs'))

async function fromPort(
  payload: ClientPayload,
  readRun: (() => Promise<RunState>) | null,
  env: Runner['env'],
): Promise<{ payload: ClientPayload; problems: string[] }> {
  try {
    return { payload: await completePayload(payload, readRun), problems: [] }
  } catch (error) {
    return { payload, problems: [(error as Error).message + help(env, 'large-payloads')] }
  }
}

/** The relay has the rest of the payload, and secret inputs in clear text. */
async function fromRelay(
  payload: ClientPayload,
  relay: RelayReporter,
): Promise<{
  payload: ClientPayload
  secrets: Record<string, string>
  duplicate: RunState | null
  /** The secret inputs that the relay may be able to decrypt and doesn't return. */
  withheld: string[]
  /** Why it doesn't return them: a sentence about these names. */
  refusal: ((names: string) => string) | null
}> {
  const { encrypted, truncated } = payload.port
  const nothing = { payload, secrets: {}, duplicate: null, withheld: [], refusal: null }
  if (encrypted.length === 0 && truncated.length === 0) return nothing
  try {
    const { payload: rest, secrets, duplicate, run } = await relay.start()
    if (duplicate) return { ...nothing, duplicate: run, withheld: encrypted }
    const whole = rest ? { ...payload, port: { ...payload.port, ...rest, truncated: [] } } : payload
    return { ...nothing, payload: whole, secrets }
  } catch (error) {
    const { kind, message } = error as PortError
    const unasked = (names: string) => `The relay could not be asked for ${names}: ${message}`
    return { ...nothing, withheld: encrypted, refusal: kind === 'ended' ? ended : unasked }
  }
}

/** After a re-run, or if another job has finished the run in Port before this one starts. */
const ended = (names: string) =>
  `The relay no longer returns ${names}, since the delivery has finished: run the Port action again.`

function describeMissing(
  refusal: (names: string) => string,
  truncated: string[],
  encrypted: string[],
  env: Runner['env'],
): string[] {
  const missing = [...truncated, ...encrypted]
  if (missing.length === 0) return []
  const names = missing.map(name => `"${name}"`).join(', ')
  return [refusal(names) + help(env, truncated.length > 0 ? 'large-payloads' : 'secret-inputs')]
}

/** What must not reach Port in a log line or summary. */
export interface KnownSecrets {
  /** The clear texts of secret inputs, and encrypted values that may be clear texts. */
  secrets: string[]
  /** Whether every clear text that a step may have seen is known. */
  all: boolean
  /** Whether the delivery has finished, so that the relay no longer returns them. */
  ended?: boolean
}

/**
 * The secrets that post has to redact. Some stay unknown if fetching fails, or if an input that main has decrypted can't be
 * decrypted again because a key was rotated in the meantime.
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
  const isAway =
    truncated.includes('encrypted') || encrypted.some(name => truncated.includes(`inputs.${name}`))
  const whole = isAway ? await completePayload(payload, reporter.read).catch(() => null) : payload
  const { secrets, all } = known(decryptInputs(whole ?? payload, inputs), decrypted)
  return { secrets, all: all && whole !== null }
}

const known = ({ secrets, masks }: DecryptedInputs, decrypted: string[]): KnownSecrets => ({
  secrets: masks,
  all: decrypted.every(name => secrets.has(name)),
})
