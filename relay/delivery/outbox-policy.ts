import type { PortError } from '../../port/client/client.ts'
import { describeNetworkError } from '../../port/client/errors.ts'
import { logBatches } from '../../port/client/run-bodies.ts'
import { backOff, LONGEST_WAIT_MS } from '../../port/retry.ts'
import type { LogLine } from '../../port/types.ts'
import type { Message } from './delivery.ts'

/** A message in the outbox, or some of its lines. */
export interface WaitingMessage {
  seq: number
  message: Message
  /** Milliseconds since 1970. */
  createdAt: number
}

/** The part of a page that is settled: its first messages, and the first lines of the message after them. */
export interface Sent {
  /** `seq` values of the settled messages. */
  done: number[]
  /** The remaining lines of a message that is settled in part. */
  rest?: { seq: number; message: Message } | null
  /** Why the remaining messages must be sent again. Contains no personal data. */
  reason?: string | null
  /** Whether to record the time for the delivery's trace. */
  traced?: boolean
}

export interface Batch {
  parts: WaitingMessage[]
  message: Message
  /** When the first message was written, milliseconds since 1970. */
  createdAt: number
}

const MAX_BATCH_BYTES = 190_000

/** Joins consecutive log lines into messages of one request each. */
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

/** Combines consecutive log lines into batches, because Port limits the number of requests. */
export function coalesce(messages: readonly WaitingMessage[]): Batch[] {
  const groups: WaitingMessage[][] = []
  /** The size of the last batch in bytes; null if no lines can be added to the batch. */
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

/** Splits a batch of log lines in two. Returns null if the batch has fewer than two log lines. */
function halve({ parts, message }: Batch): [Batch, Batch] | null {
  if (!('log' in message) || message.log.length < 2) return null
  const linesOf = (part: WaitingMessage): WaitingMessage[] =>
    message.log.map(line => ({ ...part, message: { log: [line] } }))
  const all = parts.length > 1 ? parts : parts.flatMap(linesOf)
  const middle = Math.ceil(all.length / 2)
  return [toBatch(all.slice(0, middle)), toBatch(all.slice(middle))]
}

/** Returns which messages and lines of a page are settled. @param left the batches that aren't settled */
export function settledOf(messages: WaitingMessage[], left: readonly Batch[]): Sent {
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

function toBatch(parts: WaitingMessage[]): Batch {
  const [first] = parts as [WaitingMessage]
  const log = parts.flatMap(({ message }) => ('log' in message ? message.log : []))
  return { parts, message: 'log' in first.message ? { log } : first.message, createdAt: first.createdAt }
}

const sizeOf = (lines: readonly LogLine[]) =>
  lines.reduce((sum, line) => sum + Buffer.byteLength(JSON.stringify(line)) + 1, 0)

export type PortFailure = Pick<PortError, 'kind' | 'status' | 'message' | 'retryAt' | 'cause'>

/** The next step after Port's response to a batch. `by`: the replacement to send. `otherwise`: what to do if Port rejects the replacement. */
export type NextStep =
  | { do: 'done' | 'drop' | 'retry' }
  | { do: 'split'; halves: [Batch, Batch] }
  | { do: 'replace'; by: Message; otherwise: 'drop' | 'retry' }

/**
 * Decides what to do after Port's response to a batch. Pure.
 *
 * | Port's response | log, label, entity | conclusion |
 * |---|---|---|
 * | accepted | done | done |
 * | the run has finished, or is synchronous | dropped | dropped |
 * | Port rejects the message's content | dropped, with a warning in the relay's log; log lines are replaced by a notice | sent again with fewer fields, then retried |
 * | Port doesn't know the run | retried; dropped after 15 minutes | retried; after 15 minutes, only the conclusion is sent |
 * | any other error | retried; after 15 minutes, replaced by a notice when Port accepts the notice | retried; after 15 minutes, only the conclusion is sent |
 *
 * After the retention period, every message is dropped. If a single line could cause the error, the batch is split.
 * @param failure null if Port accepted the batch
 * @param age the time since the message was written, in milliseconds
 * @param retention the longest time that a message can wait, in milliseconds
 */
export function nextStep(
  batch: Batch,
  failure: PortFailure | null,
  { age, retention, maySplit }: { age: number; retention: number; maySplit: boolean },
): NextStep {
  if (!failure) return { do: 'done' }
  const { message } = batch
  const decision = decideOnFailure(message, failure, age, retention)
  const isRejected = decision === 'replace' || (decision === 'drop' && failure.kind === 'refused')
  if (!isRejected) return { do: decision }
  const halves = maySplit ? halve(batch) : null
  if (halves) return { do: 'split', halves }
  if (decision === 'drop' && !('log' in message)) return { do: 'drop' }
  const otherwise = decision === 'replace' ? 'retry' : 'drop'
  return { do: 'replace', by: replacement(message, failure), otherwise }
}

/** If a message is older than this, the relay assumes that the message's content causes Port's errors. */
const STUCK_MS = 900_000

function decideOnFailure(message: Message, failure: PortFailure, age: number, retention: number) {
  const { kind, status } = failure
  if (kind === 'finished' || kind === 'synchronized' || age > retention) return 'drop'
  if (!isConclusion(message) && kind === 'refused' && CONTENT.includes(status ?? 0)) return 'drop'
  if (age <= STUCK_MS || status === null || kind === 'later') return 'retry'
  return kind === 'unknown_run' && !isConclusion(message) ? 'drop' : 'replace'
}

const CONTENT = [400, 404, 413, 422]

/** Whether a message finishes the run in Port. While the run in Port is open, such a message is never dropped. */
const isConclusion = (message: Message): boolean =>
  'update' in message && message.update.conclusion !== undefined

/** Returns the replacement for a message that Port keeps rejecting: for an update with a conclusion, only the conclusion; for other messages, a notice. */
function replacement(message: Message, { status }: PortFailure): Message {
  if ('update' in message && message.update.conclusion !== undefined) {
    return { update: { conclusion: message.update.conclusion } }
  }
  const what =
    'log' in message
      ? `${message.log.length} line${message.log.length === 1 ? '' : 's'}`
      : 'entity' in message
        ? 'an entity'
        : 'a status label or a link'
  const sentence = `… ${what} may be missing here: Port keeps responding with ${status}.`
  return { log: [{ level: 'WARN', message: sentence }] }
}

const CREDENTIALS =
  "PORT_CLIENT_ID and PORT_CLIENT_SECRET to the credentials of the run's organization, check PORT_API_URL, and restart the relay"
/** What each failure means, and what to do. */
const KINDS: Record<PortFailure['kind'], [reason: string, cure: string]> = {
  finished: ['the run has finished', ''],
  synchronized: ['the run is synchronous', ''],
  unknown_run: [
    "Port doesn't know the run: it was deleted, or the webhook is from another organization than PORT_CLIENT_ID",
    `If the run was deleted, the relay drops its messages by itself. Otherwise, set ${CREDENTIALS}`,
  ],
  credentials: ["Port rejects the organization's credentials", `Set ${CREDENTIALS}`],
  later: ["Port limits the organization's requests", 'The relay goes on by itself'],
  unreachable: [
    'Port, or a proxy in front of it, returned an error',
    'See https://status.port.io, or check PORT_API_URL and HTTPS_PROXY. The relay tries again by itself',
  ],
  refused: [
    'Port rejects the request',
    "Check the outputs and links that the workflow reports. After 15 minutes, the relay sends only the run's result",
  ],
}

/** Describes a failure for the log. Omits Port's error text, because it can quote the request. */
export function describeFailure({ kind, status, cause }: PortFailure): { reason: string; status?: number } {
  if (status !== null) return { reason: KINDS[kind][0], status }
  if (kind !== 'unreachable') return { reason: KINDS[kind][0] }
  return { reason: `Port didn't respond (${describeNetworkError(cause)})` }
}

/** Describes a failure for operators, with what to do. Without a period at the end. */
export function explainFailure(failure: PortFailure): string {
  const { reason, status } = describeFailure(failure)
  const cure = failure.kind === 'refused' && status === 403 ? PERMISSION : KINDS[failure.kind][1]
  return `${reason}${status === undefined ? '' : ` (${status})`}. ${cure}`
}
const PERMISSION = 'Give the credentials in PORT_CLIENT_ID the permission to update runs and entities'

/** The longest time between two attempts is FIRST_LONGEST_MS for about an hour, and LONGEST_WAIT_MS after that. */
const FIRST_LONGEST_MS = 60_000
const MANY_ATTEMPTS = 60

/** Returns the time of the next attempt: Port's `retryAt`, unless the back-off is longer or LONGEST_WAIT_MS is shorter. Times are milliseconds since 1970. */
export function nextAttempt(now: number, attempts: number, retryAt: number | null): number {
  const longest = attempts < MANY_ATTEMPTS ? FIRST_LONGEST_MS : LONGEST_WAIT_MS
  const soonest = now + backOff(attempts, 1_000, longest)
  return Math.ceil(Math.max(soonest, Math.min(now + LONGEST_WAIT_MS, retryAt ?? 0)))
}
