import type { ClientPayload } from '../../port/client-payload.ts'
import { decryptSecretInput, type SecretKey } from '../../port/secrets.ts'
import type { JsonObject } from '../../port/types.ts'
import type { Inputs } from '../runner/inputs.ts'

export interface OpenedSecrets {
  /** All inputs, the secret ones in clear text; what could not be opened is missing. */
  inputs: JsonObject
  /** The clear texts, by the names of their inputs. */
  secrets: Map<string, string>
  /** Inputs left encrypted, since there is no key, or, where that is allowed, none that fits. */
  sealed: string[]
  /** One sentence for each input that no key opens; it names the input and the setting, never a value. */
  problems: string[]
}

/**
 * Opens the secret inputs of a payload. Port names no scheme, so each key at hand is tried: both schemes are
 * authenticated, and a wrong key opens nothing.
 *
 * @param openedByRelay the clear texts of those that the relay has opened
 * @param options.maySeal whether what no key opens stays encrypted, and is no problem
 */
export function openSecrets(
  { port }: ClientPayload,
  settings: Pick<Inputs, 'portClientSecret' | 'secretKey'>,
  openedByRelay: Record<string, string> = {},
  options: { maySeal?: boolean } = {},
): OpenedSecrets {
  const keys: (SecretKey & { setting: string })[] = []
  if (settings.secretKey !== '')
    keys.push({ scheme: 'client-side', privateKey: settings.secretKey, setting: 'secret-key' })
  if (settings.portClientSecret !== '')
    keys.push({
      scheme: 'aes256-gcm',
      clientSecret: settings.portClientSecret,
      setting: 'port-client-secret',
    })

  const opened: OpenedSecrets = { inputs: { ...port.inputs }, secrets: new Map(), sealed: [], problems: [] }
  for (const name of port.encrypted) {
    const value = port.inputs[name]
    if (typeof value !== 'string' || value === '') continue
    if (Object.hasOwn(openedByRelay, name)) {
      opened.inputs[name] = openedByRelay[name]!
      opened.secrets.set(name, openedByRelay[name]!)
      continue
    }
    const clear = tryKeys(name, value, keys)
    if (clear === null && (keys.length === 0 || options.maySeal)) opened.sealed.push(name)
    else if (clear === null) {
      delete opened.inputs[name]
      opened.problems.push(problem(name, keys))
    } else {
      opened.inputs[name] = clear
      opened.secrets.set(name, clear)
    }
  }
  return opened
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

const ADVICE: Record<string, string> = {
  'port-client-secret':
    'port-client-secret must be the client secret of the organisation that the Port action belongs to; if it was ' +
    'rotated meanwhile, run the action again',
  'secret-key':
    'secret-key must be the private key, a PEM of RSA, to the public key in the Port action; inputs encrypted with ' +
    'aes256-gcm are opened with port-client-secret instead',
}

function problem(name: string, keys: { setting: string }[]): string {
  const advice = keys.map(key => ADVICE[key.setting]).join('; ')
  return `The secret input "${name}" could not be decrypted with ${keys.map(key => key.setting).join(' or ')}: ${advice}.`
}
