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
