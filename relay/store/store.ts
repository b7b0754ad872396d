import type { Change, Delivery, NewDelivery, Report, State, Telling } from './delivery.ts'

/** A delivery as it was claimed: what a write holds under. */
export type Claimed = Pick<Delivery, 'id' | 'lease' | 'state'>

/** How words for Port came, and what they end. */
export interface ReportOptions {
  from?: { sender: string; number: number }
  finish?: boolean
}

/** What intake answers with. */
export interface Accepted {
  id: string
  state: State
  runId: string | null
  repository: string
  eventType: string
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
   * that order is kept; never more than the dispatch rate has left.
   */
  claimQueued(now: number, leaseMs: number, limit: number): Promise<Delivery[]>
  /** Takes dispatched and running deliveries that are due. */
  claimWatched(now: number, leaseMs: number, limit: number): Promise<Delivery[]>
  /**
   * Writes what a step found and gives the lease back, with words for Port in the same transaction. Where the
   * state is no longer the one claimed, since the workflow run reported meanwhile (`bindRun`), only the
   * attempts and `dispatchedAt` are written: the run has the last word. A delivery woken meanwhile stays due
   * at once. A workflow run that is known already stays.
   * @returns false, and nothing is written, when the lease was lost
   */
  record(claimed: Claimed, change: Change, now: number, reports?: Report[]): Promise<boolean>
  /**
   * Marks that the dispatch is about to be sent, and keeps the lease.
   * @returns false when the lease was lost, or the state is no longer the one claimed: then it must not be sent
   */
  markSent(claimed: Claimed, now: number): Promise<boolean>
  /** Moves all queued deliveries (of one owner, where given) that are due before `until` to then: GitHub asked to wait. */
  postpone(until: number, owner: string | null): Promise<void>

  /** Takes deliveries with words for Port that are due, each with its words. */
  claimTelling(now: number, leaseMs: number, limit: number): Promise<Telling[]>
  /**
   * Removes the words said so far and gives the lease back; `retryAt` when more are left to say later.
   * @returns false when the lease was lost
   */
  told(telling: Pick<Telling, 'id' | 'lease'>, said: number[], retryAt: number | null): Promise<boolean>

  /**
   * Adds words for Port, behind those that wait, whoever holds a lease.
   * @param options.from the message that they came in: senders count from 1, and a number that is not above
   *   the sender's last adds nothing
   * @param options.finish whether the delivery is finished with them; one that failed stays so
   * @returns false when there is no such delivery
   */
  report(id: string, reports: Report[], now: number, options?: ReportOptions): Promise<boolean>

  /** Makes a dispatched or running delivery due at once; one that is leased, once its lease is given back. */
  wakeDelivery(id: string, now: number): Promise<void>
  /**
   * Binds a delivery to the first workflow run that reports for it, whoever holds a lease: queued or
   * dispatched becomes running, due at once; finished or failed stays so.
   * `same`: it is bound to this run, whose attempt is raised. `other`: it is bound to another.
   */
  bindRun(
    id: string,
    githubRunId: number,
    attempt: number,
    now: number,
  ): Promise<'bound' | 'same' | 'other' | 'unknown'>
  /** The delivery bound to a workflow run. Upper and lower case of the repository are one. */
  findByGithubRun(repository: string, runId: number): Promise<Delivery | null>
  /** Dispatched deliveries whose workflow run is not known yet, oldest first, at most 100. Upper and lower case are one. */
  unmatched(repository: string): Promise<Delivery[]>

  /**
   * Queues a failed delivery again, due now, behind all others of its repository: those are in order
   * already, and one of them may be on its way. What was known of its last dispatch is forgotten, but for the attempts.
   * A second click finds it queued: `not_failed`.
   */
  redeliver(id: string, now: number): Promise<'queued' | 'not_failed' | 'unknown'>
  /** Deletes at most `limit` finished and failed deliveries last changed before then, never one with words left for Port. */
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
