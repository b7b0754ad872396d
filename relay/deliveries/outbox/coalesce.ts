import { logBatches } from '../../../port/client/log-batches.ts'
import type { LogLine } from '../../../port/types.ts'
import type { Message } from '../../store/delivery.ts'
import type { OutboxPage, Sent } from '../../store/store.ts'

/** A message that waits, or some of its lines. */
type Part = OutboxPage['messages'][number]

/** What is sent in one request. */
export interface Batch {
  /** What it is made of, in order. */
  parts: Part[]
  message: Message
  /** When the first of them was written, milliseconds since 1970. */
  createdAt: number
}

/** A little below what `logBatches` puts into one request. */
const MAX_BATCH_BYTES = 190_000

/** Log lines that follow one another become one message for each request to Port, so that none is sent in part. */
export function joinLogs(messages: readonly Message[]): Message[] {
  const joined: Message[] = []
  let lines: LogLine[] = []
  const flush = () => {
    joined.push(...logBatches(lines).map(log => ({ log })))
    lines = []
  }
  for (const message of messages) {
    if ('log' in message) {
      for (const line of message.log) lines.push(line)
      continue
    }
    flush()
    joined.push(message)
  }
  flush()
  return joined
}

/** Consecutive log lines are sent in one request, as many as fit: Port limits requests. */
export function coalesce(messages: readonly Part[]): Batch[] {
  const groups: Part[][] = []
  /** Of the last group, where it takes more lines. */
  let open: number | null = null
  for (const part of messages) {
    const bytes: number | null = 'log' in part.message ? sizeOf(part.message.log) : null
    if (open !== null && bytes !== null && open + bytes <= MAX_BATCH_BYTES) {
      groups.at(-1)?.push(part)
      open += bytes
    } else {
      groups.push([part])
      open = bytes
    }
  }
  return groups.map(toBatch)
}

/** The two halves of a batch; null for a single line, and for what is no log. */
export function halve({ parts, message }: Batch): [Batch, Batch] | null {
  if (!('log' in message) || message.log.length < 2) return null
  const [first, second] = parts
  if (!first) return null
  const halves = <T>(list: T[]): [T[], T[]] => {
    const middle = Math.ceil(list.length / 2)
    return [list.slice(0, middle), list.slice(middle)]
  }
  if (second) {
    const [before, after] = halves(parts)
    return [toBatch(before), toBatch(after)]
  }
  const [before, after] = halves(message.log)
  return [toBatch([{ ...first, message: { log: before } }]), toBatch([{ ...first, message: { log: after } }])]
}

/** What of a page is settled where these batches of it are left. */
export function settledOf(messages: OutboxPage['messages'], left: readonly Batch[]): Sent {
  const parts = left.flatMap(batch => batch.parts)
  const [first] = parts
  if (!first) return { done: messages.map(({ seq }) => seq) }
  const done = messages.flatMap(({ seq }) => (seq < first.seq ? [seq] : []))
  const whole = messages.find(({ seq }) => seq === first.seq)?.message
  const lines = parts.flatMap(({ seq, message }) =>
    seq === first.seq && 'log' in message ? message.log : [],
  )
  const isPart = whole !== undefined && 'log' in whole && lines.length < whole.log.length
  return { done, rest: isPart ? { seq: first.seq, message: { log: lines } } : null }
}

function toBatch(parts: Part[]): Batch {
  const [first] = parts as [Part]
  const log = parts.flatMap(({ message }) => ('log' in message ? message.log : []))
  return { parts, message: 'log' in first.message ? { log } : first.message, createdAt: first.createdAt }
}

const sizeOf = (lines: readonly LogLine[]) =>
  lines.reduce((sum, line) => sum + Buffer.byteLength(JSON.stringify(line)) + 1, 0)
