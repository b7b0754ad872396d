import type {
  Delivery,
  DeliveryRun,
  FirstUse,
  HistoryEntry,
  Message,
  NewDelivery,
  Outcome,
  SignatureUse,
  State,
  Target,
  Transition,
} from '../delivery/delivery.ts'

/** What intake responds with. */
export interface Accepted extends Target {
  id: string
  state: State
  runId: string | null
  duplicate: boolean
}

/** A queued delivery, claimed to be dispatched, with its invocation as JSON text. */
export type Claimed = Delivery & { invocation: string; leaseUntil: number }

/** GitHub accepts nothing from a credential until a time. */
export interface RateLimitPause {
  /** The credential: a digest of the token, or the owner whose installation of the App it is. */
  scope: string
  pausedUntil: number
  /** A clause for users. */
  reason: string
}

/** Identifies a report of the action, so that it is applied once. */
export interface ReportReceipt {
  sender: string
  /** Counts from 1; one that is not above the sender's last is a repetition, and changes nothing. */
  number: number
  lines: number
  bytes: number
}

/** An OIDC token that a workflow run presented. */
export interface UsedToken {
  jti: string
  /** Milliseconds since 1970, by the issuer's clock. */
  expiresAt: number
}

/** A delivery that was dispatched. */
export interface Attempted
  extends Pick<Delivery, 'id' | 'organization' | 'eventType' | 'workflow' | 'ref' | 'attemptedAt'> {
  /** Whether a workflow run of it is known. */
  hasRun: boolean
}

/** What the reports of a delivery have used up since it was queued. */
export interface ReportUsage {
  lines: number
  bytes: number
  /** The last number of the sender asked for. */
  lastNumber: number
}

/** A finished delivery whose trace is due. */
export interface TracedDelivery extends Delivery {
  /** Identifies the claim. */
  traceDueAt: number
  /** When Port had all messages; null if there were none. */
  notifiedAt: number | null
}

/** The messages of a delivery that wait for Port, claimed together: the first ones, as many as fit a page. */
export interface OutboxPage {
  delivery: string
  runId: string
  repository: string
  organization: string
  /** The outputs of the node run, as JSON text; empty for none. */
  outputs: string
  /** Whether the action has reported through the relay. */
  reported: boolean
  /** The fencing number. */
  version: number
  /** Consecutive attempts in which Port accepted nothing. */
  attempts: number
  messages: { seq: number; message: Message; createdAt: number }[]
}

/** What waits. Times are milliseconds since 1970, null if nothing is due or waits. */
export interface Backlog {
  /**
   * Since when the oldest delivery has been queued, whatever it waits for; since when the oldest poll and the oldest
   * outbox may be claimed.
   */
  dueSince: Record<'dispatch' | 'watch' | 'outbox', number | null>
  /** Messages that wait for Port, counted up to 10,000. */
  messages: number
  /** When the oldest of them was written. */
  oldestMessage: number | null
}

/** What of a page is settled: its first messages, and the first lines of the next one. */
export interface Sent {
  /** The first messages, by their `seq`. */
  done: number[]
  /** What is left of the next message, if a part of its lines is settled. */
  rest?: { seq: number; message: Message } | null
  /** The delivery's trace needs the time. */
  traced?: boolean
}

/** The messages of a delivery that wait for Port. */
export interface WaitingMessages {
  amount: number
  /** Consecutive attempts in which Port accepted nothing. */
  attempts: number
  dueAt: number
}

/** What happened to deliveries in one hour: how many were accepted, and how many finished with each outcome. */
export interface Hour extends Record<Outcome, number> {
  /** When it starts, milliseconds since 1970. */
  hour: number
  accepted: number
}

/** What is claimed: queued deliveries, dispatched and running ones, outboxes. */
export type Work = 'dispatch' | 'watch' | 'outbox'

/** A problem that an alert is about. Times are milliseconds since 1970. */
export interface KnownProblem {
  type: string
  side: 'github' | 'port' | null
  text: string
  since: number
  /** Whether an alert about its start was sent. */
  isSent: boolean
  /** When it was no longer present; null if it is. Kept until that was sent. */
  resolvedAt: number | null
}

/** What is stored of alerts for all relays, so that a restart repeats nothing. */
export interface AlertState {
  problems: KnownProblem[]
  /** When the last alert was sent, or tried. */
  sentAt: number
}

export interface StoredAlerts {
  /** Counts the changes. */
  version: number
  state: AlertState
}

/** Narrows a list of deliveries. Times are milliseconds since 1970. */
export interface Filter {
  state?: State
  outcome?: Outcome
  /** Of this outcome, those that can be redelivered. */
  redeliverable?: boolean
  repository?: string
  action?: string
  dedupeKeys?: string[]
  /** Received since then. */
  since?: number
}

/**
 * Stores deliveries. When a promise resolves, the change is on disk. Times are milliseconds since 1970 by
 * {@link Store.clock}. One contract, run against every store by one test suite.
 */
export interface Store {
  /** The database's time. Every lease and due time is in this time; a change of this machine's clock does not affect it. */
  clock(): number

  /**
   * Persists a delivery, once for its dedupe key and for the signature: the same again changes nothing and is a duplicate.
   *
   * @param use of the signature, which is remembered in the same transaction
   * @throws StoreBusy when too many wait to be persisted already
   * @throws SignatureUsed if the signature was received at another address, was refused, or is of another run
   */
  accept(delivery: NewDelivery, use?: SignatureUse): Promise<Accepted>
  /** The first use of a signature that is remembered. */
  firstUse(digest: string): Promise<FirstUse | null>
  /**
   * Remembers the response to a signature that started no delivery.
   *
   * @returns its first use, if it was used before: then nothing is written
   * @throws StoreBusy as `accept`
   */
  rememberUse(use: SignatureUse, response: { status: number; body: string }): Promise<FirstUse | null>
  /**
   * Forgets at most `limit` signatures: those that have expired by now, and the oldest beyond `most`.
   *
   * @returns how many
   */
  forgetSignatures(now: number, most: number, limit: number): Promise<number>
  /**
   * Calls back when work may have come due, here or by another relay, and with what kind of it, until the function that
   * it returns is called.
   */
  onWork(listener: (work: readonly Work[]) => void): () => void

  /** Takes at most `limit` permits of the rate limiter for what is due; 0 when nothing is due. */
  takePermits(now: number, limit: number): Promise<number>
  /** Returns permits that no dispatch used. */
  returnPermits(amount: number): Promise<void>
  /**
   * Claims the oldest queued delivery of each repository, if it is due and its credential isn't paused. A repository whose
   * oldest delivery is not due waits as a whole, which keeps its order.
   *
   * @param scope of the rate-limit pauses; null if each owner has its own, `owner:<owner>`
   */
  claimQueued(now: number, leaseMs: number, limit: number, scope: string | null): Promise<Claimed[]>
  /** Queued deliveries of a paused credential whose waiting isn't shown in Port's log; those with a `seq` above `after`. */
  findUnnotified(now: number, limit: number, scope: string | null, after: number): Promise<Delivery[]>
  /** Claims dispatched and running deliveries that are due. */
  claimPolls(now: number, leaseMs: number, limit: number): Promise<Delivery[]>

  /**
   * Applies a transition that was decided on a version of the delivery; one that changes nothing of the delivery
   * itself leaves the version as it is.
   *
   * @param receipt of the report that brought it: a repetition of an earlier one writes nothing, and counts as applied
   * @param token that allows it: for another delivery it allows nothing from then on
   * @returns false, and nothing is written, if the delivery has another version by now, or another delivery has
   *   one of its runs or has used the token
   */
  apply(
    delivery: Pick<Delivery, 'id' | 'version' | 'repository'>,
    transition: Transition,
    now: number,
    receipt?: ReportReceipt,
    token?: UsedToken,
  ): Promise<boolean>
  /** Makes an open delivery due now, whoever has claimed it. */
  wake(id: string, now: number): Promise<void>

  /** Runs that belong to a delivery, past ones included, by their ids. Upper and lower case of the repository are one. */
  findRuns(repository: string, runIds: number[]): Promise<(DeliveryRun & { delivery: string })[]>
  /** Deliveries to the repository with one of these dedupe keys or ids. */
  findByTitle(repository: string, names: { dedupeKeys: string[]; ids: string[] }): Promise<Delivery[]>
  /** What was dispatched to the repository in a time, this delivery left out, whatever became of it; at most {@link MAX_OTHERS}. */
  attemptedBetween(repository: string, from: number, to: number, except: string): Promise<Attempted[]>
  /** Dispatched deliveries of the repository whose run is not known, oldest first, at most 100. */
  findUnbound(repository: string): Promise<Delivery[]>
  reportUsage(id: string, sender: string): Promise<ReportUsage>

  /** Claims outboxes that are due, each with its first messages. */
  claimOutboxes(now: number, leaseMs: number, limit: number): Promise<OutboxPage[]>
  /**
   * Removes the messages that are settled, and releases the outbox.
   *
   * @param retryAt when to try again; null to continue at once with the rest
   * @returns false if the lease was lost
   */
  settleOutbox(
    page: Pick<OutboxPage, 'delivery' | 'version'>,
    sent: Sent,
    retryAt: number | null,
    now: number,
  ): Promise<boolean>

  /** Claims finished deliveries whose trace is due, and whose messages Port has. */
  claimTraces(now: number, leaseMs: number, limit: number): Promise<TracedDelivery[]>
  /** These were exported. */
  settleTraces(claimed: Pick<TracedDelivery, 'id' | 'traceDueAt'>[]): Promise<void>

  /** Persists a rate-limit pause; the later of two times stays. */
  savePause(pauses: RateLimitPause): Promise<void>
  activePauses(now: number): Promise<RateLimitPause[]>

  /**
   * Deletes at most `limit` finished deliveries last changed before then, none with messages that wait; rate-limit pauses
   * that were over by then; and used tokens and revoked sessions that have expired.
   */
  purge(before: number, limit: number): Promise<number>
  /** Makes work due now that is due further ahead than any step schedules, as after a clock was set back. */
  repairDueTimes(now: number): Promise<void>

  get(id: string): Promise<Delivery | null>
  /** The invocation as JSON text. */
  invocation(id: string): Promise<string | null>
  /** The invocations of these deliveries as JSON text, by their ids, except for those that are larger. */
  invocations(ids: string[], maxBytes: number): Promise<Map<string, string>>
  /** Oldest first; at most 200 entries are kept. */
  history(id: string): Promise<(HistoryEntry & { at: number })[]>
  /**
   * Newest first, those before `before` (a `seq`) if given. With an action, which no index holds, it looks at a
   * bounded number of deliveries, see {@link Store.listedTo}.
   */
  list(filter: Filter, options: { before?: number; limit: number }): Promise<Delivery[]>
  /**
   * How many there are of each open or failed state, each counted up to 10,000; finished and cancelled ones are not
   * counted.
   */
  counts(): Promise<Record<'queued' | 'dispatched' | 'running' | 'failed', number>>
  /** How many finished with each outcome, each counted up to 10,000. */
  outcomes(): Promise<Record<Outcome, number>>
  backlog(now: number): Promise<Backlog>
  /**
   * Where such a list has to go on that found fewer than it was to: what is before this `seq` was not looked at.
   * Null if nothing more can be found.
   */
  listedTo(filter: Filter, before?: number): Promise<number | null>
  /**
   * Makes this relay the one that sends alerts, or lets it stay that, until the lease ends.
   *
   * @returns what is stored; null if another relay has the lease
   */
  claimAlerts(holder: string, now: number, leaseMs: number): Promise<StoredAlerts | null>
  /** @returns the new version; null, and nothing is written, if another relay has the lease */
  saveAlerts(holder: string, state: AlertState): Promise<number | null>
  /** Null where none wait. */
  waitingMessages(id: string): Promise<WaitingMessages | null>
  /** Adds to what was counted in these hours, and forgets those before `forget`. */
  countHours(counted: Hour[], forget: number): Promise<void>
  /** The hours that something happened in, from a time on. */
  hours(from: number): Promise<Hour[]>
  /** A session of the dashboard has ended, for every relay on this database. @param expiresAt milliseconds since 1970, by the wall clock */
  revokeSession(id: string, expiresAt: number): Promise<void>
  isSessionRevoked(id: string): Promise<boolean>
  /** @throws if the database can't be reached, or doesn't accept writes */
  ping(): Promise<void>
  /** Finishes the statements under way. */
  close(): Promise<void>
}

/** How many deliveries {@link Store.attemptedBetween} lists. */
export const MAX_OTHERS = 100

/** A signature was used before, and its first use is not the same delivery's at the same address. */
export class SignatureUsed extends Error {
  readonly first: FirstUse
  constructor(first: FirstUse) {
    super('The signature was used before')
    this.name = 'SignatureUsed'
    this.first = first
  }
}

/** More deliveries wait to be persisted than the relay keeps up with. */
export class StoreBusy extends Error {
  constructor() {
    super('Too many deliveries wait to be persisted')
    this.name = 'StoreBusy'
  }
}
