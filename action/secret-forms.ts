import { base64Forms } from './base64-forms.ts'

/**
 * A secret as it is, and as programs print it: those forms that the runner masks, too.
 *
 * @see https://github.com/actions/runner/blob/main/src/Sdk/DTLogging/Logging/ValueEncoders.cs
 */
export function secretForms(secret: string): string[] {
  const inJson = jsonEscape(secret)
  return [
    ...new Set([
      secret,
      inJson,
      // JSON in a text of JSON: `toJSON` of an output that is JSON itself.
      jsonEscape(inJson),
      secret.replaceAll('"', '\\"'),
      secret.replaceAll("'", "''"),
      encodeURIComponent(secret.toWellFormed()),
      xmlEscape(secret),
      ...base64Forms(secret),
    ]),
  ]
}

const jsonEscape = (text: string) => JSON.stringify(text).slice(1, -1)

const XML: Record<string, string> = { '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;', '&': '&amp;' }
const xmlEscape = (text: string) => text.replace(/[<>"'&]/g, found => XML[found]!)
