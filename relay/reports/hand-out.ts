import { decryptSecretInput } from '../../port/secrets.ts'
import type { Invocation } from '../../port/types.ts'
import { BOUNDS } from '../config/bounds.ts'
import type { Delivery } from '../store/delivery.ts'
import type { Store } from '../store/store.ts'

/** What the run that a delivery is bound to may have beyond its client payload. */
export interface HandOut {
  /** The parts of which something did not fit the payload, whole. */
  payload: Pick<Invocation, 'inputs' | 'encrypted' | 'entity' | 'event'> | null
  /** Secret inputs in clear text, by name. One that none of the relay's secrets decrypts is missing: it has the other scheme, or an older secret. */
  secrets: Record<string, string>
}

export interface HandOutDeps {
  store: Pick<Store, 'invocation'>
  /** What an organisation's inputs may be encrypted with. */
  secrets: (organisation: string) => string[]
}

/** How long the clear texts of a delivery are in memory: the jobs of a matrix ask within minutes. */
const KEPT_MS = 10 * 60_000

/** Reads and decrypts once for all jobs of a run that ask in time. @returns a function that throws what the store throws */
export function createHandOut({
  store,
  secrets,
}: HandOutDeps): (delivery: Pick<Delivery, 'id' | 'organisation'>, complete: boolean) => Promise<HandOut> {
  const kept = new Map<string, { size: number; whole: Promise<HandOut> }>()
  const forget = (id: string, entry = kept.get(id)) => {
    if (entry && kept.get(id) === entry) kept.delete(id)
  }

  return async ({ id, organisation }, complete) => {
    const { payload, secrets } = await (kept.get(id)?.whole ?? keep(id, organisation))
    return { payload: complete ? payload : null, secrets }
  }

  function keep(id: string, organisation: string): Promise<HandOut> {
    const entry = { size: 0, whole: read() }
    kept.set(id, entry)
    entry.whole.catch(() => forget(id, entry))
    setTimeout(forget, KEPT_MS, id, entry).unref()
    return entry.whole

    async function read(): Promise<HandOut> {
      const text = await store.invocation(id)
      entry.size = text?.length ?? 0
      let total = [...kept.values()].reduce((sum, { size }) => sum + size, 0)
      for (const [oldest, { size }] of kept) {
        if (total <= BOUNDS.inputsKept.value) break
        total -= size
        forget(oldest)
      }
      return text === null
        ? { payload: null, secrets: {} }
        : decrypt(JSON.parse(text) as Invocation, secrets(organisation))
    }
  }
}

/**
 * @param invocation as it is stored, where what is encrypted stays so
 * @param clientSecrets each that Port may have encrypted with
 */
function decrypt({ inputs, encrypted, entity, event }: Invocation, clientSecrets: string[]): HandOut {
  const keys = clientSecrets.map(clientSecret => ({ scheme: 'aes256-gcm' as const, clientSecret }))
  const secrets: [string, string][] = []
  for (const name of encrypted) {
    const value = Object.hasOwn(inputs, name) ? inputs[name] : undefined
    const clear = typeof value === 'string' ? decryptSecretInput(value, keys) : null
    if (clear !== null) secrets.push([name, clear])
  }
  return { payload: { inputs, encrypted, entity, event }, secrets: Object.fromEntries(secrets) }
}
