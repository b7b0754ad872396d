import { stripAnsiCodes } from '../../port/strip-ansi-codes.ts'

const LF = 0x0a
const CR = 0x0d

/**
 * The lines of a file that any program appends to, each with the offset after its end. UTF-8, and UTF-16 as
 * Windows PowerShell 5 writes it with `>>`; one file may hold both, so each line is looked at by itself. ANSI
 * codes and zero bytes are stripped.
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
    // Zero bytes and ANSI codes would hide a secret that they stand in. Not every database takes a zero byte in a text.
    const text = stripAnsiCodes(
      bytes
        .subarray(start, to)
        .toString(wide ? 'utf16le' : 'utf8')
        .replaceAll('\0', ''),
    )
      .replace(/^\ufeff/, '')
      .replace(/\r$/, '')
    lines.push({ text, end })
    start = end
  }
  return lines
}

/**
 * A mark at its start; or an end of two bytes, after a CR of two or in a text like ASCII. A zero byte alone says
 * nothing: any program may print one.
 */
function isWide(bytes: Buffer, start: number): boolean {
  if (bytes[start] === 0xff && bytes[start + 1] === 0xfe) return true
  const end = bytes.indexOf(LF, start)
  if (end < 0) return hasZeros(bytes.subarray(start))
  // The second byte of an end may not be written yet.
  if ((end - start) % 2 !== 0 || (end + 1 < bytes.length && bytes[end + 1] !== 0)) return false
  if (end - start >= 2 && bytes.readUInt16LE(end - 2) === CR) return true
  return hasZeros(bytes.subarray(start, end))
}

/** Whether nearly every second byte is zero, as of Latin letters in UTF-16. */
function hasZeros(bytes: Buffer): boolean {
  let zeros = 0
  for (let at = 1; at < bytes.length; at += 2) if (bytes[at] === 0) zeros++
  return bytes.length % 2 === 0 && zeros >= 0.9 * (bytes.length / 2)
}

function findWide(bytes: Buffer, start: number): number {
  for (let at = start; at + 1 < bytes.length; at += 2) if (bytes.readUInt16LE(at) === LF) return at
  return -1
}
