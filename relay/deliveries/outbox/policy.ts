import { describeNetworkError } from '../../../port/client/network-error.ts'
import type { PortError } from '../../../port/client/port-client.ts'
import type { Message } from '../../store/delivery.ts'

/**
 * The fate of a message by Port's answer:
 *
 * | answer | log, label, entity | conclusion |
 * |---|---|---|
 * | accepted | done | done |
 * | the run has ended, or is synchronous | dropped | dropped |
 * | Port rejects the content of this message | dropped, with a warning in the relay's log; log lines are replaced by a line about it | sent again with less, then retried |
 * | Port knows no such run | retried, dropped after 15 minutes | as below |
 * | anything else | retried; after 15 minutes replaced by a line about it, once Port accepts that | retried; the conclusion alone after 15 minutes |
 *
 * A message is given up for good when the retention is over.
 */
export type Fate = 'done' | 'drop' | 'retry' | 'replace'

export type PortTrouble = Pick<PortError, 'kind' | 'status' | 'message' | 'retryAt' | 'cause'>

/** After this time, the message itself may be why Port does not accept it. */
const STUCK_MS = 900_000

/**
 * @param age since the message was written, milliseconds
 * @param retention how long a message may wait, milliseconds
 */
export function fateOf(message: Message, trouble: PortTrouble, age: number, retention: number): Fate {
  const { kind, status } = trouble
  if (kind === 'ended' || kind === 'synchronized' || age > retention) return 'drop'
  if (!isConclusion(message) && kind === 'refused' && CONTENT.includes(status ?? 0)) return 'drop'
  if (age <= STUCK_MS || status === null || kind === 'later') return 'retry'
  return kind === 'unknown_run' && !isConclusion(message) ? 'drop' : 'replace'
}

/** Statuses with which a request is rejected for its content. */
const CONTENT = [400, 404, 413, 422]

/** Whether a message ends the run in Port: it is never dropped while the run is open. */
const isConclusion = (message: Message): boolean =>
  'update' in message && message.update.conclusion !== undefined

/** Replaces a message that Port keeps rejecting. Contains nothing of it, since its content may be the reason. */
export function replacement(message: Message, { status }: PortTrouble): Message {
  if ('update' in message && message.update.conclusion !== undefined) {
    return { update: { conclusion: message.update.conclusion } }
  }
  const what =
    'log' in message
      ? `${message.log.length} line${message.log.length === 1 ? '' : 's'}`
      : 'entity' in message
        ? 'an entity'
        : 'a status label or a link'
  const sentence = `… ${what} may be missing here: Port keeps answering ${status}.`
  return { log: [{ level: 'WARN', message: sentence }] }
}

const KINDS: Record<PortTrouble['kind'], string> = {
  ended: 'the run has ended',
  synchronized: 'the run is synchronous',
  unknown_run: "Port knows no such run: PORT_CLIENT_ID may be another organisation's",
  credentials: "Port does not accept the organisation's credentials",
  later: "Port limits the organisation's requests",
  unreachable: 'Port has trouble of its own, or something before it has answered',
  refused: 'Port rejects the request',
}

/** For the log. Port's own text is left out, since it may quote what was sent. */
export function describeTrouble({ kind, status, cause }: PortTrouble): { reason: string; status?: number } {
  if (status !== null) return { reason: KINDS[kind], status }
  return {
    reason: kind === 'unreachable' ? `Port did not answer (${describeNetworkError(cause)})` : KINDS[kind],
  }
}

/** The longest wait between attempts, at first and after an hour of them. */
const FIRST_LONGEST_MS = 60_000
const LONGEST_WAIT_MS = 600_000
const MANY_ATTEMPTS = 60

/** When Port asks for it, within bounds. Times are milliseconds since 1970. */
export function nextAttempt(now: number, attempts: number, retryAt: number | null): number {
  const longest = attempts < MANY_ATTEMPTS ? FIRST_LONGEST_MS : LONGEST_WAIT_MS
  const soonest = now + Math.min(longest, 1000 * 2 ** Math.min(attempts, 10))
  return Math.ceil(Math.min(now + LONGEST_WAIT_MS, Math.max(soonest, retryAt ?? 0)))
}
