/**
 * A secret as it is, and as programs print it, which is more than the runner masks.
 *
 * @see https://github.com/actions/runner/blob/main/src/Sdk/DTLogging/Logging/ValueEncoders.cs
 */
export function secretForms(secret: string): string[] {
  const inJson = jsonEscape(secret)
  const inAscii = inJson.replace(/[^\x00-\x7f]/g, toUnicodeEscape)
  const inUrl = encodeURIComponent(secret.toWellFormed())
  const strictly = inUrl.replace(/[!'()*]/g, found => `%${hexOf(found).toUpperCase()}`)
  return [
    ...new Set([
      secret,
      // Go, and others, escape what a page would take for markup.
      ...[inJson, inAscii].flatMap(form => [
        form,
        form.replace(/[<>&]/g, toUnicodeEscape),
        form.replace(/[<>&']/g, toUnicodeEscape),
      ]),
      // PHP.
      inAscii.replaceAll('/', '\\/'),
      inDotNet(secret),
      // JSON in a text of JSON: `toJSON` of an output that is JSON itself.
      jsonEscape(inJson),
      secret.replaceAll('"', '\\"'),
      secret.replaceAll("'", "''"),
      // The trace of a shell, `set -x`.
      secret.replaceAll("'", "'\\''"),
      // With and without !'()*, in either case, and spaces as in a form.
      ...[inUrl, strictly]
        .flatMap(form => [form, form.replace(/%../g, found => found.toLowerCase())])
        .flatMap(form => [form, form.replaceAll('%20', '+')]),
      ...QUOTES.flatMap(quote => APOSTROPHES.map(apostrophe => xmlEscape(secret, quote, apostrophe))),
      ...base64Forms(secret),
    ]),
  ]
}

const jsonEscape = (text: string) => JSON.stringify(text).slice(1, -1)

const hexOf = (char: string) => char.charCodeAt(0).toString(16)
const toUnicodeEscape = (char: string) => `\\u${hexOf(char).padStart(4, '0')}`

/** @see https://learn.microsoft.com/dotnet/standard/serialization/system-text-json/character-encoding */
const inDotNet = (text: string) =>
  text.replace(/./gs, char =>
    /["'`<>&+]|[^\b\t\n\f\r -~]/.test(char)
      ? `\\u${hexOf(char).toUpperCase().padStart(4, '0')}`
      : jsonEscape(char),
  )

const QUOTES = ['"', '&quot;', '&#34;']
const APOSTROPHES = ["'", '&apos;', '&#39;', '&#x27;']
const XML: Record<string, string> = { '<': '&lt;', '>': '&gt;', '&': '&amp;' }
const xmlEscape = (text: string, quote: string, apostrophe: string) =>
  text
    .replace(/[<>&]/g, found => XML[found]!)
    .replaceAll('"', quote)
    .replaceAll("'", apostrophe)

/** A shorter piece of Base64 would be found in any text. */
const SHORTEST_BASE64 = 4

/**
 * What Base64 makes of a text. It holds a text in three ways, by what stands before it (`base64(user:password)`). Its last
 * digit depends on what follows, so each form is there with it and without.
 */
export function base64Forms(text: string): string[] {
  const bytes = Buffer.from(text)
  const digits = [0, 1, 2].flatMap(offset => {
    const rest = bytes.subarray(offset)
    const all = rest.toString('base64').replaceAll('=', '')
    return [all, all.slice(0, Math.floor((rest.length * 8) / 6))]
  })
  return digits
    .filter(form => form.length >= SHORTEST_BASE64)
    .flatMap(form => [form, form.replaceAll('+', '-').replaceAll('/', '_')])
}
