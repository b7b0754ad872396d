import type {
  Delivery,
  DeliveryRun,
  HistoryEntry,
  NewDelivery,
  Outcome,
  Stalled,
  State,
  Transition,
} from '../delivery/delivery.ts'
import type { Sent, WaitingMessage } from '../delivery/outbox-policy.ts'
import type { Target } from '../github/client.ts'
import type { RateLimitPause } from '../github/rate-limit-pause.ts'
import type { AlertState } from './alert-state.ts'

/** Intake's response. */
export interface Accepted extends Target, Pick<Delivery, 'id' | 'state' | 'runId'> {
  duplicate: boolean
}

/** A queued delivery that was claimed for dispatch, with its invocation as JSON text. */
export type Claimed = Delivery & { invocation: string; leaseUntil: number }

/** Identifies a report from the action, so that the report is applied only once. */
export interface ReportReceipt {
  sender: string
  /** Counts from 1. If it isn't above the sender's last number, the report is a repetition and changes nothing. */
  number: number
  lines: number
  bytes: number
}

/** Usage of a delivery's report limits since the delivery was queued. */
export interface ReportUsage {
  lines: number
  bytes: number
  /** The requested sender's last number. */
  lastNumber: number
}

/** A finished delivery whose trace is due. */
export interface TracedDelivery extends Delivery {
  /** Identifies the claim. */
  traceDueAt: number
  /** When Port had received all messages; null if there were none. */
  notifiedAt: number | null
}

/** A page of a delivery's first waiting messages, claimed together. */
export interface OutboxPage {
  delivery: string
  runId: string
  repository: string
  /** Outputs of the node run, as JSON text; empty for none. */
  outputs: string
  /** Whether the action has reported through the relay. */
  reported: boolean
  /** Fencing token. */
  version: number
  /** Consecutive attempts in which Port accepted no message. */
  attempts: number
  messages: WaitingMessage[]
}

/** A difference between GitHub's clock and the store's. */
export interface ClockDifference {
  /** GitHub's clock minus the store's, in milliseconds; 0 if it is too small to matter. */
  difference: number
  /** Since when, milliseconds since 1970 by the store's clock. */
  since: number
}

/** The response to a cancellation. */
export interface Cancellation {
  status: 200 | 202
  /** JSON */
  body: string
}

/** Waiting work. Times are milliseconds since 1970; null if nothing is due or waiting. */
export interface Backlog {
  /** When the oldest queued delivery was queued, and when the oldest poll and the oldest outbox became due. */
  dueSince: Record<'dispatch' | 'watch' | 'outbox', number | null>
  /** Number of messages waiting for Port, up to 10,000. */
  messages: number
  /** When the oldest waiting message was written. */
  oldestMessage: number | null
}

/** A delivery's messages that are waiting for Port. */
export interface WaitingMessages {
  amount: number
  /** Consecutive attempts in which Port accepted no message. */
  attempts: number
  dueAt: number
}

/** Statistics for one hour: the number of accepted deliveries, and of finished deliveries per outcome. */
export interface Hour extends Record<Outcome, number> {
  /** Start of the hour, milliseconds since 1970. */
  hour: number
  accepted: number
}

/** Kinds of work to claim: queued deliveries, dispatched and running deliveries (`watch`), and outboxes. */
export const WORK = ['dispatch', 'watch', 'outbox'] as const
export type Work = (typeof WORK)[number]

/** Filters a list of deliveries. Times are milliseconds since 1970. */
export interface Filter {
  state?: State
  outcome?: Outcome
  /** Only deliveries with this outcome that can be redelivered. */
  redeliverable?: boolean
  repository?: string
  action?: string
  /** Port's run. */
  runId?: string
  /** Only deliveries received since this time. */
  since?: number
}

/**
 * Stores deliveries. When a promise resolves, the change is on disk. Times are milliseconds since 1970 by
 * {@link Store.clock}. One test suite checks every store against this contract.
 */
export interface Store {
  /**
   * Returns the client ID of the Port organization that the database belongs to; null if none is stored. The first given
   * client ID is stored.
   */
  organization(clientId: string | null): Promise<string | null>
  /** The database's time, used for all leases and due times. Changes to this machine's clock don't affect it. */
  clock(): number

  /**
   * Persists a delivery once per dedupe key and signature. A repetition changes nothing and is reported as a duplicate.
   *
   * @throws StoreBusy if too many webhooks are waiting to be persisted
   * @throws SignatureUsed if the signature was used at another address
   */
  accept(delivery: NewDelivery): Promise<Accepted>
  /**
   * Returns the response to a cancellation with the same signature; null if there was none.
   *
   * @throws SignatureUsed if a delivery has the signature
   */
  findCancellation(identity: Pick<NewDelivery, 'dedupeKey' | 'sentAs'>): Promise<Cancellation | null>
  /** Stores the response to a cancellation until the signature expires. No delivery can have the signature then. */
  saveCancellation(signed: { digest: string; expiresAt: number }, response: Cancellation): Promise<void>
  /**
   * Calls the listener with the kinds of work that this relay or another relay could have made due. The returned
   * function removes the listener.
   */
  onWork(listener: (work: readonly Work[]) => void): () => void
  /** Returns when each kind of work is due next; null if none is waiting. Includes claimed and paused work. */
  nextDue(): Promise<Record<Work, number | null>>

  /**
   * Claims each repository's oldest queued delivery if that delivery is due and its credential isn't paused. To keep
   * the order, the whole repository waits until its oldest delivery is due.
   *
   * @param scope scope of rate-limit pauses, or the prefix of the owners' scopes, to which the owner is appended
   */
  claimQueued(now: number, leaseMs: number, limit: number, scope: string): Promise<Claimed[]>
  /**
   * Finds unclaimed deliveries that were queued before a time and wait for something that Port doesn't show yet. Finds
   * none while many messages to Port are waiting, because results are more important.
   */
  findWaiting(now: number, before: number, limit: number, scope: string): Promise<Delivery[]>
  /** Returns the oldest queued delivery of each repository in which one of these deliveries is queued. */
  heads(deliveries: readonly Delivery[]): Promise<Map<string, Delivery>>
  /** Finds queues from which nothing was dispatched since a time, without a pause. Returns their oldest deliveries. */
  stalled(before: number, limit: number, scope: string): Promise<Stalled[]>
  /** Claims dispatched and running deliveries that are due. */
  claimPolls(now: number, leaseMs: number, limit: number): Promise<Delivery[]>

  /**
   * Applies a transition that was computed from a specific version of the delivery. If the delivery's own fields don't
   * change, the version doesn't change either.
   *
   * @param receipt receipt of the report that caused the event. A repeated report writes nothing.
   * @returns false if nothing was written, because the delivery has another version by now, or another delivery has
   *   one of its runs
   */
  apply(
    delivery: Pick<Delivery, 'id' | 'version' | 'repository'>,
    transition: Transition,
    now: number,
    receipt?: ReportReceipt,
  ): Promise<boolean>
  /** Makes an open delivery due now, even if a relay has claimed it. */
  wake(id: string, now: number): Promise<void>

  /** Returns the runs with these ids that belong to a delivery, including past runs. Ignores the repository's case. */
  findRuns(repository: string, runIds: number[]): Promise<(DeliveryRun & { delivery: string })[]>
  /** Returns the repository's deliveries that have one of these dedupe keys or ids. */
  findByTitle(repository: string, ids: readonly string[]): Promise<Delivery[]>
  /** Returns up to {@link MAX_OTHERS} deliveries dispatched to the repository in a period, in any state. */
  attemptedBetween(
    repository: string,
    from: number,
    to: number,
    except: string,
  ): Promise<Pick<Delivery, 'eventType'>[]>
  /** Returns up to 100 dispatched deliveries of the repository without a known run, oldest first. */
  findUnbound(repository: string): Promise<Delivery[]>
  reportUsage(id: string, sender: string): Promise<ReportUsage>

  /** Claims due outboxes with their first messages. */
  claimOutboxes(now: number, leaseMs: number, limit: number): Promise<OutboxPage[]>
  /**
   * Removes the settled messages and releases the outbox.
   *
   * @param retryAt time of the next attempt; null to continue immediately with the rest
   * @returns false if the lease was lost
   */
  settleOutbox(
    page: Pick<OutboxPage, 'delivery' | 'version'>,
    sent: Sent,
    retryAt: number | null,
    now: number,
  ): Promise<boolean>

  /** Claims finished deliveries whose trace is due and whose messages have all been sent to Port. */
  claimTraces(now: number, leaseMs: number, limit: number): Promise<TracedDelivery[]>
  /** Records that these traces were exported. */
  settleTraces(claimed: Pick<TracedDelivery, 'id' | 'traceDueAt'>[]): Promise<void>

  /** Persists a rate-limit pause. If the scope already has a pause, the later end is kept. */
  savePause(pauses: RateLimitPause): Promise<void>
  activePauses(now: number): Promise<RateLimitPause[]>
  clockDifference(): Promise<ClockDifference>
  saveClockDifference(difference: ClockDifference): Promise<void>

  /**
   * Deletes at most `limit` finished deliveries that last changed before the given time and have no waiting messages.
   * Also deletes rate-limit pauses that ended before that time, and expired cancellations and revoked sessions.
   */
  purge(before: number, limit: number): Promise<number>
  /** Makes work due now if its due time is implausibly late, for example after a clock was set back. */
  repairDueTimes(now: number): Promise<void>

  get(id: string): Promise<Delivery | null>
  /** Returns the invocation as JSON text. */
  invocation(id: string): Promise<string | null>
  /** Returns invocations as JSON text by delivery id, except for invocations larger than `maxBytes`. */
  invocations(ids: string[], maxBytes: number): Promise<Map<string, string>>
  /** Returns the history, oldest entry first. At most 200 entries are kept. */
  history(id: string): Promise<(HistoryEntry & { at: number })[]>
  /**
   * Lists deliveries, newest first, with a `seq` below `before` if given. There is no index on actions, so a filter by
   * action searches a limited number of deliveries. See {@link Store.listedTo}.
   */
  list(filter: Filter, options: { before?: number; limit: number }): Promise<Delivery[]>
  /**
   * Counts deliveries in each open state and in `failed`, up to 10,000 each. Finished and canceled deliveries aren't
   * counted.
   */
  counts(): Promise<Record<'queued' | 'dispatched' | 'running' | 'failed', number>>
  /** Counts finished deliveries by outcome, up to 10,000 each. */
  outcomes(): Promise<Record<Outcome, number>>
  backlog(now: number): Promise<Backlog>
  /**
   * Returns the `seq` from which to continue a list that found fewer deliveries than requested. Older deliveries
   * haven't been searched yet. Null if there are no more deliveries.
   */
  listedTo(filter: Filter, before?: number): Promise<number | null>
  /**
   * Acquires or renews the lease to send alerts.
   *
   * @returns the stored alerts; null if another relay has the lease
   */
  claimAlerts(holder: string, now: number, leaseMs: number): Promise<AlertState | null>
  /** @returns false if nothing was written because another relay has the lease */
  saveAlerts(holder: string, state: AlertState): Promise<boolean>
  /** Null if no messages are waiting. */
  waitingMessages(id: string): Promise<WaitingMessages | null>
  /** Adds to the counts of these hours, and deletes hours before `forget`. */
  countHours(counted: Hour[], forget: number): Promise<void>
  /** Returns the hours with activity since the given time. */
  hours(from: number): Promise<Hour[]>
  /** Ends a dashboard session for all relays. @param expiresAt milliseconds since 1970, by the wall clock */
  revokeSession(id: string, expiresAt: number): Promise<void>
  isSessionRevoked(id: string): Promise<boolean>
  /** @throws if the database can't be reached or doesn't accept writes */
  ping(): Promise<void>
  /** Waits for statements in progress and closes the database. */
  close(): Promise<void>
}

/** Maximum number of deliveries that {@link Store.attemptedBetween} returns. */
export const MAX_OTHERS = 100

/** The signature was used before at another address. */
export class SignatureUsed extends Error {
  constructor() {
    super('The signature was used before')
    this.name = 'SignatureUsed'
  }
}

/** Too many webhooks are waiting to be persisted. */
export class StoreBusy extends Error {
  constructor() {
    super('Too many deliveries wait to be persisted')
    this.name = 'StoreBusy'
  }
}
