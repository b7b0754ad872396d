import type { PortError } from '../port/client/client.ts'
import type { ClientPayload } from '../port/payload.ts'
import { decryptSecretInput, type SecretKey } from '../port/secrets.ts'
import type { RunState } from '../port/types.ts'
import type { RelayReporter } from './reporter/relay.ts'
import type { Reporter } from './reporter/reporter.ts'
import type { Inputs } from './runner/inputs.ts'
import { completePayload } from './runner/payload.ts'
import { help, quote, type Runner } from './runner/runner.ts'

// Completes the payload, and decrypts its secret inputs. Main sets the values as outputs, and post redacts the values.

export type CompleteInputs = Awaited<ReturnType<typeof completeInputs>>

/** Completes and decrypts the payload. @param sources null for a source that the job can't use */
export async function completeInputs(
  sent: ClientPayload,
  inputs: Inputs,
  sources: { relay: RelayReporter | null; readRun: (() => Promise<RunState>) | null },
  env: Runner['env'],
) {
  if (!sources.relay) {
    const problems: string[] = []
    const payload = await completePayload(sent, sources.readRun).catch((error: Error) => {
      problems.push(error.message + help(env, 'large-payloads'))
      return sent
    })
    const decrypted = decryptInputs(payload, inputs)
    problems.push(...describeUndecrypted(decrypted, env))
    return { payload, decrypted, problems, duplicate: null }
  }
  const { payload, secrets, duplicate, withheld, refusal } = await fromRelay(sent, sources.relay)
  const decrypted = decryptInputs(payload, inputs, secrets, withheld)
  const { truncated } = payload.port
  const names = [...truncated, ...decrypted.encrypted.filter(name => withheld.includes(name))]
  const topic = truncated.length > 0 ? 'large-payloads' : 'secret-inputs'
  const missing = refusal && names.length > 0 ? [refusal(quote(names)) + help(env, topic)] : []
  return { payload, decrypted, problems: [...missing, ...describeUndecrypted(decrypted, env)], duplicate }
}

const describeUndecrypted = ({ problems }: DecryptedInputs, env: Runner['env']) =>
  problems.map(problem => problem + help(env, 'secret-inputs'))

async function fromRelay(payload: ClientPayload, relay: RelayReporter) {
  const { encrypted, truncated } = payload.port
  const nothing = {
    payload,
    secrets: {} as Record<string, string>,
    duplicate: null as RunState | null,
    /** The secret inputs that the relay withholds, and why. */
    withheld: [] as string[],
    refusal: null as ((names: string) => string) | null,
  }
  if (encrypted.length === 0 && truncated.length === 0) return nothing
  try {
    const { payload: rest, secrets, duplicate, run } = await relay.start()
    if (duplicate) return { ...nothing, duplicate: run, withheld: encrypted }
    const whole = rest ? { ...payload, port: { ...payload.port, ...rest, truncated: [] } } : payload
    return { ...nothing, payload: whole, secrets }
  } catch (error) {
    const { kind, message } = error as PortError
    const unasked = (names: string) => `The action couldn't get ${names} from the relay: ${message}`
    return { ...nothing, withheld: encrypted, refusal: kind === 'finished' ? noLonger : unasked }
  }
}

const noLonger = (names: string) =>
  `The relay no longer returns ${names}, because the delivery has finished. Run the Port action again. If an earlier ` +
  'job of this workflow run finished the delivery, remove report: job from that job.'

export interface KnownSecrets {
  /** The values of secret inputs. A value that no key decrypts is included, because it may be plaintext. */
  secrets: string[]
  /** Whether `secrets` contains every decrypted value that a step may have seen. */
  all: boolean
  /** Whether the relay no longer returns decrypted values. */
  finished?: boolean
}

/** Returns the secrets that post redacts. A secret is missing if its key was rotated, or if the relay withholds it. */
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
    if (given instanceof Error) return { secrets: [], all: false, finished: given.kind === 'finished' }
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

type DecryptedInputs = ReturnType<typeof decryptInputs>

/** Decrypts each secret input with the first key that fits. `withheld`: inputs that the relay doesn't return. */
function decryptInputs(
  { port }: ClientPayload,
  settings: Pick<Inputs, 'portClientSecret' | 'privateKey'>,
  decryptedByRelay: Record<string, string> = {},
  withheld: string[] = [],
) {
  const keys: SecretKey[] = []
  if (settings.privateKey !== '') keys.push({ scheme: 'client-side', privateKey: settings.privateKey })
  if (settings.portClientSecret !== '')
    keys.push({ scheme: 'aes256-gcm', clientSecret: settings.portClientSecret })

  const result = {
    inputs: { ...port.inputs },
    secrets: new Map<string, string>(),
    /** The values to mask. A value that no key decrypts is included, because it may be plaintext. */
    masks: [] as string[],
    /** The names of the inputs that stay encrypted. */
    encrypted: [] as string[],
    /** Messages. They never contain an input's value. */
    problems: [] as string[],
  }
  for (const name of port.encrypted) {
    const value = Object.hasOwn(port.inputs, name) ? port.inputs[name] : null
    if (value === undefined || value === null || value === '') continue
    if (Object.hasOwn(decryptedByRelay, name)) {
      result.inputs[name] = decryptedByRelay[name]!
      result.secrets.set(name, decryptedByRelay[name]!)
      continue
    }
    // Port's agent may already have decrypted the value (`fieldsToDecryptPaths`).
    if (typeof value !== 'string' || !isEncrypted(value)) {
      result.secrets.set(name, typeof value === 'string' ? value : JSON.stringify(value))
      continue
    }
    const clear = decryptSecretInput(value, keys)
    if (clear !== null) {
      result.inputs[name] = clear
      result.secrets.set(name, clear)
      continue
    }
    // The value may be plaintext that looks like Base64.
    result.masks.push(value)
    if (keys.length === 0 || withheld.includes(name)) result.encrypted.push(name)
    else {
      delete result.inputs[name]
      result.problems.push(problem(name, settings))
    }
  }
  result.masks.push(...result.secrets.values())
  return result
}

/** Whether the value is Base64, and long enough for an IV and a tag. */
const isEncrypted = (value: string) =>
  value.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(value) && Buffer.byteLength(value, 'base64') >= 32

function problem(name: string, settings: Pick<Inputs, 'portClientSecret' | 'privateKey'>): string {
  const state = (given: string) => (given === '' ? "isn't set" : "doesn't match")
  return (
    `The secret input "${name}" couldn't be decrypted. If the Port action encrypts it with aes256-gcm, ` +
    'port-client-secret must be the client secret of the organization that the Port action belongs to; it ' +
    `${state(settings.portClientSecret)}. If this secret was rotated after the Port run started, run the Port action again. If the Port action encrypts with ` +
    'client-side, private-key must be the RSA private key (PEM) that belongs to the public key in the Port action; it ' +
    `${state(settings.privateKey)}. If Port's agent decrypts this input, remove the input from fieldsToDecryptPaths.`
  )
}
