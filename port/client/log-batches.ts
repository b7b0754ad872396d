import type { LogLine } from '../types.ts'

/** Longer lines are cut: Port cannot show them well, and one of them could fill a request. */
const MAX_LINE = 8_000

/** Port takes bodies of 1 MiB (413 beyond); a page of log that a browser can still show is far less. */
const MAX_BATCH_BYTES = 200_000

/** Coalesces lines, in order, into batches that fit one request each; long lines are cut, with a mark. */
export function logBatches(lines: readonly LogLine[]): LogLine[][] {
  const batches: LogLine[][] = []
  let size = Number.POSITIVE_INFINITY
  for (const { level, message } of lines) {
    const line: LogLine = { level, message: cut(message) }
    const bytes = Buffer.byteLength(JSON.stringify(line)) + 1
    if (size + bytes > MAX_BATCH_BYTES) {
      batches.push([])
      size = 0
    }
    batches.at(-1)!.push(line)
    size += bytes
  }
  return batches
}

function cut(message: string): string {
  if (message.length <= MAX_LINE) return message
  return `${message.slice(0, MAX_LINE).toWellFormed()}… (cut from ${message.length} characters)`
}
