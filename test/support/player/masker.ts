export type Masker = { add(value: string): void; mask(text: string): string }

/**
 * Hides secrets as the runner does: the value, each of its lines, and its common encodings become `***`.
 * Source: Worker.cs and ValueEncoders.cs of actions/runner; its `Uri.EscapeDataString` escapes !'()* too.
 */
export function createMasker(): Masker {
  const values = new Set<string>()
  return {
    add(value) {
      for (const part of [value, ...value.split(/[\r\n]+/)]) {
        if (part === '') continue
        const json = JSON.stringify(part).slice(1, -1)
        const unquoted = part.length > 8 ? part.replace(/^"(.*)"$/, '$1') : part
        for (const form of [
          part,
          json,
          unquoted,
          encodeURIComponent(part).replace(
            /[!'()*]/g,
            char => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
          ),
          Buffer.from(part).toString('base64'),
        ]) {
          if (form !== '') values.add(form)
        }
      }
    },
    mask(text) {
      const longestFirst = [...values].sort((a, b) => b.length - a.length)
      return longestFirst.reduce((masked, value) => masked.replaceAll(value, '***'), text)
    },
  }
}
