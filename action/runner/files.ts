import * as fs from 'node:fs'
import { join } from 'node:path'
import { stripAnsiCodes } from '../../port/text.ts'

export type JobFiles = { log: string; entities: string; run: string }

/**
 * Returns paths in the folder that the runner uses for its own files, because the runner mounts this folder into
 * containers.
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
 * Returns the lines of a file, each with the offset after the line. Lines can be UTF-8, or UTF-16 from `>>` in Windows
 * PowerShell 5. Strips ANSI codes and zero bytes.
 * @param options.rest whether to return text after the last newline as a line
 * @see https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_character_encoding
 */
export function splitLines(bytes: Buffer, options: { rest: boolean }): FileLine[] {
  const lines: FileLine[] = []
  let start = 0
  let wideEnd = bytes.indexOf(WIDE_LF)
  while (start < bytes.length) {
    if (wideEnd >= 0 && wideEnd < start) wideEnd = bytes.indexOf(WIDE_LF, start)
    const wide = isWide(bytes, start, wideEnd)
    const found = wide ? findWide(bytes, start) : bytes.indexOf(LF, start)
    if (found < 0 && !options.rest) break
    const [to, end] = found < 0 ? [bytes.length, bytes.length] : [found, found + (wide ? 2 : 1)]
    // Zero bytes and ANSI codes inside a secret would prevent redaction, and some databases reject zero bytes.
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
 * Whether text is UTF-16: it starts with a byte order mark, or has a two-byte newline. The text before this newline
 * must end with a two-byte CR, or be mostly ASCII. An LF byte alone can be half of a character (U+4E0A).
 * @param end the offset of the next two-byte newline; -1 if there is none
 */
function isWide(bytes: Buffer, start: number, end: number): boolean {
  if (bytes[start] === 0xff && bytes[start + 1] === 0xfe) return true
  let lf = bytes.indexOf(LF, start)
  if (end < 0 && lf < 0) return hasZeros(bytes.subarray(start))
  // The second byte of the newline can be missing, because the step may still be writing.
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

/**
 * Ensures that only one step of a job reports to the Port run: the first step that calls this function.
 * @returns the input `report` of the earlier step that reports; null if there is none
 */
export function claimReport(logFile: string, how: string): string | null {
  const claim = `${logFile}.reported`
  if (fs.existsSync(claim)) return fs.readFileSync(claim, 'utf8')
  fs.writeFileSync(claim, how)
  return null
}

export type FileLine = { text: string; end: number }

/** The chunk size for reading a file, in bytes. */
export const PIECE = 1_000_000

/**
 * Returns complete lines from byte `offset` on, at most one chunk. If a line starts before `offset`, the rest of this
 * line becomes an empty line.
 * @throws Error if the file can't be read, or isn't a regular file
 */
export function readLogFile(path: string, offset: number, most = PIECE): FileLine[] {
  return readPiece(path, offset, Math.min(sizeOf(path) - offset, most), { rest: false, most })
}

/** A byte offset in the file, and the last bytes before this offset, in Base64. */
export type LogMark = { offset: number; before: string }

export const START: LogMark = { offset: 0, before: '' }
const MARK_BYTES = 64

export const markAt = (path: string, offset: number): LogMark => keepMarks(path, offset, offset)(offset)

/** Reads a part of the file, and returns a function that creates marks in this part, even if the file changes later. */
export function keepMarks(path: string, from: number, to: number): (offset: number) => LogMark {
  const start = Math.max(from - MARK_BYTES, 0)
  const bytes = readBytes(path, start, to - start)
  return offset => {
    const before = bytes.subarray(Math.max(offset - MARK_BYTES - start, 0), offset - start)
    return { offset, before: before.toString('base64') }
  }
}

/** Returns the mark, or the start of the file if the text before the mark has changed. */
export function nextMark(path: string, sent: LogMark): LogMark {
  if (sent.offset === 0 || sizeOf(path) < sent.offset) return START
  return markAt(path, sent.offset).before === sent.before ? sent : START
}

export function sizeOf(path: string): number {
  const found = fs.lstatSync(path, { throwIfNoEntry: false })
  if (!found) return 0
  // Refuses pipes and devices, because reading them could block forever. Refuses symbolic links, which could make the action send any file to Port.
  if (!found.isFile()) throw new Error(`${path} is no longer a file`)
  return found.size
}

/** @param options.most the chunk size in bytes; a line that is longer than a chunk is split */
export function readPiece(
  path: string,
  from: number,
  length: number,
  options: { rest: boolean; most?: number },
): FileLine[] {
  if (length <= 0) return []
  const bytes = readBytes(path, from, length)
  const start = firstLine(path, from, bytes)
  const rest = start > 0 ? [{ text: '', end: 0 }] : []
  const lines = [...rest, ...splitLines(bytes.subarray(start), options)]
  const found =
    lines.length > 0 || length < (options.most ?? PIECE) ? lines : splitLines(bytes, { rest: true })
  return found.map(({ text, end }) => ({ text, end: from + start + end }))
}

/** Returns where the first complete line of a chunk starts. Text before this line could be the second half of a secret. */
export function firstLine(path: string, from: number, bytes: Buffer): number {
  const before = readBytes(path, Math.max(from - 2, 0), Math.min(from, 2)).toString('latin1')
  if (from === 0 || before.endsWith('\n\0')) return 0
  const start = before.endsWith('\n') ? 0 : bytes.indexOf('\n') + 1
  if (start === 0 && !before.endsWith('\n')) return bytes.length
  // In UTF-16LE, a zero byte follows the newline.
  return bytes[start] === 0 ? start + 1 : start
}

export function linesBefore(path: string, offset: number): number {
  let lines = 0
  for (let at = 0; at < offset; at += PIECE) {
    const bytes = readBytes(path, at, Math.min(PIECE, offset - at))
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, end + 1)) lines++
  }
  return lines
}

/** With these flags, opening a pipe doesn't wait, and opening a symbolic link fails (except on Windows). */
const openFile = (path: string): number =>
  fs.openSync(path, fs.constants.O_RDONLY | (fs.constants.O_NOFOLLOW ?? 0) | (fs.constants.O_NONBLOCK ?? 0))

export function readBytes(path: string, from: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  const file = openFile(path)
  try {
    return bytes.subarray(0, fs.readSync(file, bytes, 0, length, from))
  } finally {
    fs.closeSync(file)
  }
}

const COMMAND = /^\s*::add-mask::(.*)$/is
/** The minimum length of a masked value. Masking shorter values would make the log unreadable. */
const SHORTEST_MASK = 4

/**
 * Returns the values to mask, and the lines except `::add-mask::VALUE`, which the runner also removes from its log.
 * @see https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#masking-a-value-in-a-log
 */
export function takeMasks<Line>(lines: readonly Line[], textOf: (line: Line) => string) {
  const masks: string[] = []
  const others = lines.filter(line => {
    const [, value] = COMMAND.exec(textOf(line)) ?? []
    if (value !== undefined) masks.push(unescapeData(value))
    return value === undefined
  })
  return { lines: others, masks: masks.filter(mask => mask.trim().length >= SHORTEST_MASK) }
}

/** @see https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts (escapeData) */
const unescapeData = (text: string) =>
  text.replace(/%0D|%0A|%25/gi, found => ({ '%0D': '\r', '%0A': '\n' })[found.toUpperCase()] ?? '%')
