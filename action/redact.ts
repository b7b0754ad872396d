import { maskParts } from './mask-parts.ts'

export type Redact = (text: string) => string

/** Hides secrets in what goes to Port, as the runner does in its log: a step may write anything to `$PORT_LOG`. */
export function createRedact(secrets: readonly string[]): Redact {
  const parts = [...new Set(secrets.flatMap(maskParts))].sort((a, b) => b.length - a.length)
  return text => parts.reduce((redacted, part) => redacted.replaceAll(part, '***'), text)
}
