import type { Change, Delivery, NewDelivery, Report, Sent, State, Telling } from './delivery.ts'

/** A delivery as it was claimed: what a write holds under. */
export type Claimed = Pick<Delivery, 'id' | 'state'> & Held

/** A lease as the step knows that works under it. */
export interface Held {
  /** Counts up with each claim; renewed where the delivery is claimed again while the step works. */
  lease: number
  /** The one under which the step has written, and so given it back; unset until it has. */
  spent?: number
}

/** A queued delivery under a lease. Times are milliseconds since 1970. */
export type Queued = Delivery & {
  leaseUntil: number
  /** Until when GitHub wants those who use its credential to wait; 0 for not at all. */
  pausedUntil: number
}

/** GitHub has asked everybody who uses a credential to wait. */
export interface Pause {
  /** The credential: a digest of the token, or the owner whose installation of the App it is. */
  scope: string
  /** Milliseconds since 1970. */
  until: number
}

/** The message that words for Port came in. */
export interface Message {
  sender: string
  /** Counts from 1; one that is not above the sender's last does nothing. */
  number: number
  /** The workflow run and attempt that it is of: the delivery must be bound to them still. */
  githubRunId: number
  githubRunAttempt: number
  /** Whether the delivery is finished with it; one that failed stays so. */
  finish: boolean
}

/** What intake answers with. */
export interface Accepted {
  id: string
  state: State
  runId: string | null
  repository: string
  eventType: string | null
  workflow: string | null
  ref: string | null
  duplicate: boolean
}

/** Where deliveries live. Whatever a promise here resolves for is safe on disk. One contract, run against every store by one test suite. */
export interface Store {
  /**
   * Writes a delivery, once for its identity: the same again changes nothing and is told as a duplicate.
   * @throws StoreBusy when too many writes wait already
   */
  accept(delivery: NewDelivery): Promise<Accepted>
  /** Calls back when work may have come due: a delivery was accepted, here or by another relay. */
  onWork(listener: () => void): void

  /**
   * Takes queued deliveries that are due under a lease, at most one of each repository, the oldest, so
   * that order is kept; never more than the dispatch rate has left. Those that must wait for a pause to end
   * are taken, too: somebody has to tell that they wait.
   *
   * @param scope of the pauses; null where each owner has a scope of its own, `owner:<owner>` in lower case
   */
  claimQueued(now: number, leaseMs: number, limit: number, scope?: string | null): Promise<Queued[]>
  /**
   * Takes queued deliveries that a pause makes wait, that have a run in Port and no attempt since they were queued, wherever they
   * stand; oldest first, those with a `seq` above `after`.
   */
  claimWaiting(
    now: number,
    leaseMs: number,
    limit: number,
    options: { scope: string | null; after: number },
  ): Promise<Queued[]>
  /** Takes dispatched and running deliveries that are due. */
  claimWatched(now: number, leaseMs: number, limit: number): Promise<Delivery[]>
  /**
   * Writes what a step found and gives the lease back, with words for Port in the same transaction. Where the
   * state is no longer the one claimed, since the workflow run reported meanwhile (`bindRun`), only the
   * attempts and `dispatchedAt` are written: the run has the last word. A delivery woken meanwhile stays due
   * at once. A workflow run that is known already stays; one that another delivery is bound to is not bound twice.
   *
   * @param also.pause what GitHub asked for, kept also where the lease was lost; the longer of two stays
   * @param also.unsent nothing was dispatched, so the dispatch rate gets back what the claim took of it
   * @returns false, and nothing of the delivery is written, when the lease was lost, or was given back by this very
   *   step, whose answer did not arrive
   */
  record(
    claimed: Claimed,
    change: Change,
    now: number,
    reports?: Report[],
    also?: { pause?: Pause | null; unsent?: boolean },
  ): Promise<boolean>
  /**
   * Marks that the dispatch is about to be sent, and keeps the lease.
   * @returns false when the lease was lost, or the state is no longer the one claimed: then it must not be sent
   */
  markSent(claimed: Claimed, now: number): Promise<boolean>
  /** Writes down that GitHub asked to wait; the longer of two stays. */
  pause(pause: Pause): Promise<void>
  /** The pauses that are on. */
  pauses(now: number): Promise<Pause[]>

  /** Takes deliveries with words for Port that are due, each with its words. */
  claimTelling(now: number, leaseMs: number, limit: number): Promise<Telling[]>
  /**
   * Removes the words said so far and gives the lease back; `retryAt` when more are left to say later.
   * @returns false when the lease was lost
   */
  told(telling: Pick<Telling, 'id'> & Held, said: number[], retryAt: number | null): Promise<boolean>

  /**
   * Adds words for Port, behind those that wait, whoever holds a lease.
   * @returns false when there is no such delivery, or the message is of another run than it is bound to
   */
  report(id: string, reports: Report[], now: number, message?: Message): Promise<boolean>

  /** Makes a dispatched or running delivery due at once; one that is leased, once its lease is given back. */
  wakeDelivery(id: string, now: number): Promise<void>
  /**
   * Binds a delivery to the first workflow run that reports for it, whoever holds a lease: queued or
   * dispatched becomes running, due at once; finished or failed stays so.
   * `same`: it is bound to this run, whose attempt is raised. `other`: it is bound to another, or this run is
   * bound to another delivery, or is a past run of this one.
   */
  bindRun(
    id: string,
    githubRunId: number,
    attempt: number,
    now: number,
  ): Promise<'bound' | 'same' | 'other' | 'unknown'>
  /** The delivery bound to a workflow run. Upper and lower case of the repository are one. */
  findByGithubRun(repository: string, runId: number): Promise<Delivery | null>
  /** Those of these workflow runs that are bound to a delivery, and to which. Upper and lower case are one. */
  findBound(repository: string, runIds: number[]): Promise<{ id: string; githubRunId: number }[]>
  /** Dispatched deliveries whose workflow run is not known yet, oldest first, at most 100. Upper and lower case are one. */
  unmatched(repository: string): Promise<Delivery[]>
  /**
   * The unmatched deliveries of the repository whose own id or run id is one of these words, however many
   * others there are.
   */
  findNamed(repository: string, words: string[]): Promise<Delivery[]>
  /** Deliveries of these event types that were sent to the repository in this time, oldest first, whatever became of them. */
  sentBetween(
    repository: string,
    eventTypes: string[],
    time: { from: number; to: number; limit: number },
  ): Promise<Sent[]>

  /**
   * Queues a failed delivery again, due now, behind all others of its repository: those are in order
   * already, and one of them may be on its way. What was known of its last dispatch is forgotten, but for the
   * attempts and its workflow run, which becomes a past one; what Port was not told yet of it is dropped.
   * A second click finds it queued: `not_failed`.
   */
  redeliver(id: string, now: number): Promise<'queued' | 'not_failed' | 'unknown'>
  /** Deletes at most `limit` finished and failed deliveries last changed before then, never one with words left for Port; and pauses that were over by then. */
  purge(before: number, limit: number): Promise<number>

  get(id: string): Promise<Delivery | null>
  /** Newest first, those before `before` (a `seq`) where given. */
  list(options: { state?: State; repository?: string; before?: number; limit: number }): Promise<Delivery[]>
  /** How many there are of each state but `finished`, of which there may be too many to count. */
  counts(): Promise<Record<Exclude<State, 'finished'>, number>>
  /** @throws when the store cannot be reached */
  ping(): Promise<void>
  /** Finishes what was begun. */
  close(): Promise<void>
}

/** The store has more to write than it keeps up with. */
export class StoreBusy extends Error {
  constructor() {
    super('Too many deliveries wait to be written')
    this.name = 'StoreBusy'
  }
}
