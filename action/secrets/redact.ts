import { maskParts } from './mask-parts.ts'
import { secretForms } from './secret-forms.ts'

export type Redact = (text: string) => string

/**
 * Hides secrets in what goes to Port, as the runner does in its log: a step may write anything to `$PORT_LOG`. Each
 * secret as a whole, and each of its parts, in every form.
 */
export function createRedact(secrets: readonly string[]): Redact {
  const texts = secrets.flatMap(secret => [secret, secret.trim(), ...maskParts(secret)])
  const forms = [...new Set(texts)].filter(text => text.trim() !== '').flatMap(secretForms)
  const parts = [...new Set(forms)].sort((a, b) => b.length - a.length)
  return text => parts.reduce((redacted, part) => redacted.replaceAll(part, '***'), text)
}
