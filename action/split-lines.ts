const LF = 0x0a

/**
 * The lines of a file that any program appends to, each with the offset after its end. UTF-8, and UTF-16 as
 * Windows PowerShell 5 writes it with `>>`; one file may hold both, so each line is looked at by itself.
 *
 * @param options.rest whether what follows the last line's end is a line too
 * @see https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_character_encoding
 */
export function splitLines(bytes: Buffer, options: { rest: boolean }): { text: string; end: number }[] {
  const lines: { text: string; end: number }[] = []
  let start = 0
  while (start < bytes.length) {
    const wide = isWide(bytes, start)
    const found = wide ? findWide(bytes, start) : bytes.indexOf(LF, start)
    if (found < 0 && !options.rest) break
    const [to, end] = found < 0 ? [bytes.length, bytes.length] : [found, found + (wide ? 2 : 1)]
    const text = bytes
      .subarray(start, to)
      .toString(wide ? 'utf16le' : 'utf8')
      .replace(/^\ufeff/, '')
      .replace(/\r$/, '')
    lines.push({ text, end })
    start = end
  }
  return lines
}

/** A mark at its start, or a zero byte up to and with its end: no text in UTF-8 holds one. */
function isWide(bytes: Buffer, start: number): boolean {
  if (bytes[start] === 0xff && bytes[start + 1] === 0xfe) return true
  const end = bytes.indexOf(LF, start)
  return bytes.subarray(start, end < 0 ? bytes.length : end + 2).includes(0)
}

function findWide(bytes: Buffer, start: number): number {
  for (let at = start; at + 1 < bytes.length; at += 2) if (bytes.readUInt16LE(at) === LF) return at
  return -1
}
