import type { ClientPayload } from '../../port/client-payload.ts'
import { decryptSecretInput, type SecretKey } from '../../port/secrets.ts'
import type { JsonObject } from '../../port/types.ts'
import type { Inputs } from '../runner/inputs.ts'

export interface DecryptedInputs {
  /** All inputs, the secret ones in clear text; what could not be decrypted is missing. */
  inputs: JsonObject
  /** The clear texts, by the names of their inputs. */
  secrets: Map<string, string>
  /** Inputs left encrypted, since there is no key, or, where that is allowed, none that fits. */
  encrypted: string[]
  /** One sentence for each input that no key decrypts; it names the input and the setting, never a value. */
  problems: string[]
}

/**
 * Decrypts the secret inputs of a payload. Port names no scheme, so each key at hand is tried: both schemes are
 * authenticated, and a wrong key decrypts nothing.
 *
 * @param decryptedByRelay the clear texts that the relay has decrypted, by the names of their inputs
 * @param options.mayStayEncrypted whether an input that no key decrypts stays encrypted instead of being a problem
 */
export function decryptInputs(
  { port }: ClientPayload,
  settings: Pick<Inputs, 'portClientSecret' | 'secretKey'>,
  decryptedByRelay: Record<string, string> = {},
  options: { mayStayEncrypted?: boolean } = {},
): DecryptedInputs {
  const keys: (SecretKey & { setting: string })[] = []
  if (settings.secretKey !== '')
    keys.push({ scheme: 'client-side', privateKey: settings.secretKey, setting: 'secret-key' })
  if (settings.portClientSecret !== '')
    keys.push({
      scheme: 'aes256-gcm',
      clientSecret: settings.portClientSecret,
      setting: 'port-client-secret',
    })

  const result: DecryptedInputs = {
    inputs: { ...port.inputs },
    secrets: new Map(),
    encrypted: [],
    problems: [],
  }
  for (const name of port.encrypted) {
    const value = port.inputs[name]
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
    const clear = tryKeys(name, value, keys)
    if (clear === null && (keys.length === 0 || options.mayStayEncrypted)) result.encrypted.push(name)
    else if (clear === null) {
      delete result.inputs[name]
      result.problems.push(problem(name, keys))
    } else {
      result.inputs[name] = clear
      result.secrets.set(name, clear)
    }
  }
  return result
}

function tryKeys(name: string, value: string, keys: SecretKey[]): string | null {
  for (const key of keys) {
    try {
      return decryptSecretInput(name, value, key)
    } catch {
      // The next key; when it was the last, the caller says which settings to check.
    }
  }
  return null
}

/** Whether it is Base64 of at least what a cipher adds: an IV and a tag. */
const isEncrypted = (value: string) =>
  value.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(value) && Buffer.byteLength(value, 'base64') >= 32

const ADVICE: Record<string, string> = {
  'port-client-secret':
    'port-client-secret must be the client secret of the organisation that the Port action belongs to; if it was ' +
    'rotated meanwhile, run the action again',
  'secret-key':
    'secret-key must be the RSA private key (PEM) that belongs to the public key in the Port action; inputs encrypted with ' +
    'aes256-gcm are decrypted with port-client-secret instead',
}

function problem(name: string, keys: { setting: string }[]): string {
  const advice = keys.map(key => ADVICE[key.setting]).join('; ')
  return `The secret input "${name}" could not be decrypted with ${keys.map(key => key.setting).join(' or ')}: ${advice}.`
}
