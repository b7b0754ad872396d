import { join } from 'node:path'
import { stripAnsiCodes } from '../../port/text.ts'

/** The files that steps append to, by environment variable. */
export interface JobFiles {
  /** `$PORT_LOG`: log lines for the Port run. */
  log: string
  /** `$PORT_ENTITIES`: entities, as YAML documents or JSON lines. */
  entities: string
  /** `$PORT_RUN`: label, links, summary, conclusion, and outputs, in the format of GitHub's environment files. */
  run: string
}

/**
 * Next to the runner's own files, such as GITHUB_OUTPUT: the runner mounts that folder into the containers of jobs and
 * Docker actions, and translates the paths.
 *
 * @see https://github.com/actions/runner/blob/main/src/Runner.Worker/Handlers/ContainerActionHandler.cs
 */
export function jobFiles(tempFolder: string, delivery: string): JobFiles {
  const name = delivery.replace(/[^A-Za-z0-9_-]/g, '-')
  const path = (kind: string) => join(tempFolder, '_runner_file_commands', `port-${kind}-${name}.txt`)
  return { log: path('log'), entities: path('entities'), run: path('run') }
}

const LF = 0x0a
const CR = 0x0d
const WIDE_LF = Buffer.from('\n', 'utf16le')

/**
 * Splits a file that any program can append to into lines, each with the offset after it. Supports UTF-8, and UTF-16
 * as Windows PowerShell 5 writes it with `>>`. A file can mix the two, so each line is decoded separately. ANSI codes
 * and zero bytes are stripped.
 *
 * @param options.rest whether to include text after the last newline as a line
 * @see https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_character_encoding
 */
export function splitLines(bytes: Buffer, options: { rest: boolean }): { text: string; end: number }[] {
  const lines: { text: string; end: number }[] = []
  let start = 0
  let wideEnd = bytes.indexOf(WIDE_LF)
  while (start < bytes.length) {
    if (wideEnd >= 0 && wideEnd < start) wideEnd = bytes.indexOf(WIDE_LF, start)
    const wide = isWide(bytes, start, wideEnd)
    const found = wide ? findWide(bytes, start) : bytes.indexOf(LF, start)
    if (found < 0 && !options.rest) break
    const [to, end] = found < 0 ? [bytes.length, bytes.length] : [found, found + (wide ? 2 : 1)]
    // Inside a secret, zero bytes and ANSI codes would prevent redaction. Some databases reject zero bytes in text.
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
 * Detects UTF-16 by a byte order mark or a two-byte newline, after a two-byte CR or mostly ASCII text. A lone zero byte
 * proves nothing, because any program can print it. Nor does an LF: it is half of a UTF-16 character such as U+4E0A.
 *
 * @param end the offset of the next UTF-16 newline, whatever precedes it; -1 if there is none
 */
function isWide(bytes: Buffer, start: number, end: number): boolean {
  if (bytes[start] === 0xff && bytes[start + 1] === 0xfe) return true
  let lf = bytes.indexOf(LF, start)
  if (end < 0 && lf < 0) return hasZeros(bytes.subarray(start))
  // The second byte of a newline may not be written yet.
  const to = end < 0 ? bytes.length - 1 : end
  // An LF at an odd offset isn't the start of a UTF-16 character, so it ends a UTF-8 line.
  while (lf >= 0 && lf < to && (lf - start) % 2 === 0) lf = bytes.indexOf(LF, lf + 1)
  if (lf !== to || (to - start) % 2 !== 0) return false
  if (to - start >= 2 && bytes.readUInt16LE(to - 2) === CR) return true
  return hasZeros(bytes.subarray(start, to))
}

/** Whether nearly every second byte is zero, as in Latin text in UTF-16. */
function hasZeros(bytes: Buffer): boolean {
  let zeros = 0
  for (let at = 1; at < bytes.length; at += 2) if (bytes[at] === 0) zeros++
  return bytes.length % 2 === 0 && zeros >= 0.9 * (bytes.length / 2)
}

function findWide(bytes: Buffer, start: number): number {
  for (let at = start; at + 1 < bytes.length; at += 2) if (bytes.readUInt16LE(at) === LF) return at
  return -1
}
