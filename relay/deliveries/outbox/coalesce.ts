import { logBatches } from '../../../port/client/log-batches.ts'
import type { LogLine } from '../../../port/types.ts'
import type { Message } from '../../store/delivery.ts'
import type { OutboxPage } from '../../store/store.ts'

/** What is sent in one request. */
export interface Batch {
  /** The messages that it is made of. */
  seqs: number[]
  message: Message
  /** When the first of them was written, milliseconds since 1970. */
  createdAt: number
}

/** Consecutive log lines are sent in one request, as many as fit: Port limits requests. */
export function coalesce(messages: OutboxPage['messages']): Batch[] {
  const batches: Batch[] = []
  let open: { batch: Batch; lines: LogLine[]; bytes: number } | null = null
  for (const { seq, message, createdAt } of messages) {
    if (!('log' in message)) {
      open = null
      batches.push({ seqs: [seq], message, createdAt })
      continue
    }
    const bytes = sizeOf(message.log)
    if (open && open.bytes + bytes <= MAX_BATCH_BYTES) {
      open.batch.seqs.push(seq)
      open.lines.push(...message.log)
      open.bytes += bytes
      continue
    }
    const lines = [...message.log]
    const batch = { seqs: [seq], message: { log: lines }, createdAt }
    batches.push(batch)
    open = { batch, lines, bytes }
  }
  return batches
}

/** A little below what `logBatches` puts into one request. */
const MAX_BATCH_BYTES = 190_000
const sizeOf = (lines: readonly LogLine[]) =>
  lines.reduce((sum, line) => sum + Buffer.byteLength(JSON.stringify(line)) + 1, 0)

/** One message for each request to Port, so that none is sent in part when Port becomes unavailable. */
export function splitLog(message: Message): Message[] {
  return 'log' in message ? logBatches(message.log).map(log => ({ log })) : [message]
}
