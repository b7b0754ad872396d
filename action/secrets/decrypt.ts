import type { ClientPayload } from '../../port/payload.ts'
import { decryptSecretInput, type SecretKey } from '../../port/secrets.ts'
import type { JsonObject } from '../../port/types.ts'
import type { Inputs } from '../runner/inputs.ts'

export interface DecryptedInputs {
  /** All inputs, the secret ones in clear text; what could not be decrypted is missing. */
  inputs: JsonObject
  /** The clear texts, by the names of their inputs. */
  secrets: Map<string, string>
  /** What must be masked: the clear texts, and each value that nobody decrypts, since it may be one. */
  masks: string[]
  /** Inputs left encrypted, since there is no key, or none that fits what is withheld. */
  encrypted: string[]
  /** One sentence for each input that no key decrypts; it names the input and the settings, never a value. */
  problems: string[]
}

/**
 * Decrypts the secret inputs of a payload. Port names no scheme, so each key at hand is tried.
 *
 * @param decryptedByRelay the clear texts that the relay has decrypted, by the names of their inputs
 * @param withheld inputs that the relay may be able to decrypt and does not give: no problem of the keys
 */
export function decryptInputs(
  { port }: ClientPayload,
  settings: Pick<Inputs, 'portClientSecret' | 'privateKey'>,
  decryptedByRelay: Record<string, string> = {},
  withheld: string[] = [],
): DecryptedInputs {
  const keys: SecretKey[] = []
  if (settings.privateKey !== '') keys.push({ scheme: 'client-side', privateKey: settings.privateKey })
  if (settings.portClientSecret !== '')
    keys.push({ scheme: 'aes256-gcm', clientSecret: settings.portClientSecret })

  const result: DecryptedInputs = {
    inputs: { ...port.inputs },
    secrets: new Map(),
    masks: [],
    encrypted: [],
    problems: [],
  }
  for (const name of port.encrypted) {
    const value = Object.hasOwn(port.inputs, name) ? port.inputs[name] : null
    if (value === undefined || value === null || value === '') continue
    if (Object.hasOwn(decryptedByRelay, name)) {
      result.inputs[name] = decryptedByRelay[name]!
      result.secrets.set(name, decryptedByRelay[name]!)
      continue
    }
    // Port's agent may have decrypted it on the way (`fieldsToDecryptPaths`).
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
    // A clear text may look like Base64, too.
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

/** Whether it is Base64 of at least what a cipher adds: an IV and a tag. */
const isEncrypted = (value: string) =>
  value.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(value) && Buffer.byteLength(value, 'base64') >= 32

function problem(name: string, settings: Pick<Inputs, 'portClientSecret' | 'privateKey'>): string {
  const state = (given: string) => (given === '' ? 'is not set' : 'does not fit')
  return (
    `The secret input "${name}" could not be decrypted. Where the Port action encrypts it with aes256-gcm, ` +
    'port-client-secret must be the client secret of the organization that the Port action belongs to; it ' +
    `${state(settings.portClientSecret)}. If it was rotated meanwhile, run the action again. Where it is encrypted with ` +
    'client-side, private-key must be the RSA private key (PEM) that belongs to the public key in the Port action; it ' +
    `${state(settings.privateKey)}. Where Port's agent has decrypted it (fieldsToDecryptPaths), remove it there.`
  )
}
