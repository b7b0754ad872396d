import type { JsonObject, LogLine, RunKind, RunUpdate } from '../../port/types.ts'

/**
 * `queued` → `dispatched` (GitHub accepted the dispatch) → `running` (its workflow run is known) → `finished`;
 * `failed` from any of them, with the reason; `cancelled` by a user. A user may redeliver what failed or was
 * canceled.
 */
export type State = 'queued' | 'dispatched' | 'running' | 'finished' | 'failed' | 'cancelled'

export const STATES: readonly State[] = ['queued', 'dispatched', 'running', 'finished', 'failed', 'cancelled']
/** The delivery isn't finished. */
export const OPEN_STATES: readonly State[] = ['queued', 'dispatched', 'running']

/** How a delivery went, in any state. */
export type Outcome = 'succeeded' | 'failed' | 'cancelled' | 'not_started' | 'unknown'

export const OUTCOMES: readonly Outcome[] = ['succeeded', 'failed', 'cancelled', 'not_started', 'unknown']

/** A user may redeliver it. */
export const REDELIVERABLE: readonly State[] = ['failed', 'cancelled']

/** What shows that a workflow run belongs to a delivery, strongest first. */
export type Evidence = 'response' | 'report' | 'port' | 'title' | 'candidate'

/** A workflow run that belongs to a delivery, as it was last seen. */
export interface DeliveryRun {
  id: number
  /** GitHub's `run_attempt`. */
  attempt: number
  evidence: Evidence
  /** It belonged to the delivery before it was redelivered, and no longer counts. */
  past: boolean
  /** GitHub's; `unknown` until the run was read. */
  status: string
  conclusion: string | null
  /** Empty until the run was read. */
  url: string
  /** Whether its action reports the run's end through the relay: another result in Port is that of a user. */
  reportsConclusion?: boolean
}

/** Where a delivery is dispatched to: a repository with an event type, or with a workflow and a ref. */
export interface Target {
  repository: string
  /** Of a `repository_dispatch`; null for a `workflow_dispatch`. */
  eventType: string | null
  /** File name or id of the workflow of a `workflow_dispatch`. */
  workflow: string | null
  /** Null: the default branch. */
  ref: string | null
}

/** An accepted webhook and its progress. Times are milliseconds since 1970, by the store's clock. */
export interface Delivery extends Target {
  /** Order of acceptance, and with it of dispatch within a repository; redelivered, it is behind the others. */
  seq: number
  id: string
  /** `run:<id>`, else a digest of timestamp and signature: two webhooks with the same key are one delivery. */
  dedupeKey: string
  runId: string | null
  kind: RunKind
  action: string | null
  /** The organization in Port whose secret verified the webhook: only its credentials decrypt and send to Port. */
  organization: string
  state: State
  /** Empty while it is open. */
  outcome: Outcome | ''
  /** Why it failed, why its dispatch waits, or why no workflow run may start. */
  reason: string | null
  receivedAt: number
  /** When it last entered the queue: received, or redelivered. */
  queuedAt: number
  updatedAt: number
  /** When the next step is due; null if there is none. */
  dueAt: number | null
  /** The fencing token: counts claims and changes. A change is applied only to the version that it was decided on. */
  version: number
  /** Dispatches tried since it was queued. */
  attempts: number
  firstAttemptAt: number | null
  /** When the latest dispatch was sent. Recorded before it is sent. */
  attemptedAt: number | null
  /** Since when the answer to the latest attempt is missing: it was sent, or its answer was lost; null if none is. */
  awaitingResponseSince: number | null
  /** Whether Port's log shows, since it was queued, that it waits. */
  waitingNotified: boolean
  dispatchedAt: number | null
  /** When a user canceled it, or null. */
  cancelRequestedAt: number | null
  /** When GitHub was asked to cancel its runs. */
  cancelSentAt: number | null
  /** Whether GitHub was asked to cancel them by force, since the first request had no effect. */
  cancelForced: boolean
  /** The environments whose approval its run waits for, separated by commas; null for none. */
  waitingFor: string | null
  /** The decisions of reviewers that Port's log shows: `production:approved`, separated by line breaks. */
  decisions: string
  /** What its node run has as outputs, as JSON text; empty for none. Port replaces them with each update. */
  outputs: string
  runs: DeliveryRun[]
}

/** The use of a verified signature. */
export interface SignatureUse {
  /** Of timestamp and signature. */
  digest: string
  /** A digest of the path and the query that it came to, which are not signed. */
  address: string
  /** From then on the signature is too old; milliseconds since 1970, by the clock of the sender. */
  expiresAt: number
}

/** The first use of a signature and its response: `status` is null if the delivery shows it. */
export interface FirstUse {
  address: string
  status: number | null
  /** JSON, or the sentence of a refusal. */
  body: string | null
}

/** What intake writes. */
export interface NewDelivery extends Target {
  id: string
  dedupeKey: string
  /** The organization whose secret verified it: an id of the configuration. */
  organization: string
  runId: string | null
  kind: RunKind
  action: string | null
  /** The invocation as JSON text. */
  invocation: string
  receivedAt: number
}

/** What a transition may change. */
export type Change = Partial<
  Pick<
    Delivery,
    | 'state'
    | 'outcome'
    | 'reason'
    | 'queuedAt'
    | 'dueAt'
    | 'attempts'
    | 'firstAttemptAt'
    | 'attemptedAt'
    | 'awaitingResponseSince'
    | 'waitingNotified'
    | 'dispatchedAt'
    | 'cancelRequestedAt'
    | 'cancelSentAt'
    | 'cancelForced'
    | 'waitingFor'
    | 'decisions'
    | 'outputs'
    /** All runs, including unchanged ones. */
    | 'runs'
  >
>

/** One request to Port. */
export type Message =
  | { log: LogLine[] }
  /** `unlessStarted`: not sent if it is late and the action has reported in the meantime. */
  | { update: RunUpdate; unlessStarted?: boolean }
  | { entity: EntityMessage }

export interface EntityMessage {
  blueprint: string
  properties: JsonObject
  operation?: 'upsert' | 'delete'
}

/** What a delivery's history shows. Each type is an event of the same name, except for `runBound` and `cancelled`. */
export type HistoryType =
  | 'waitingNotified'
  | 'dispatchAccepted'
  | 'dispatchDeferred'
  | 'dispatchRejected'
  | 'responseLost'
  | 'runNotFound'
  | 'runBound'
  | 'runReported'
  | 'jobFinished'
  | 'reportReceived'
  | 'runFinished'
  | 'finishedInPort'
  | 'listenerMissing'
  | 'startTimedOut'
  | 'runTimedOut'
  | 'runUnidentified'
  | 'runDeleted'
  | 'redelivered'
  | 'cancelRequested'
  | 'cancelSent'
  | 'cancelRejected'
  | 'cancelled'
  | 'approvalSeen'

/** An entry of a delivery's history. `details` contains no inputs, secrets, or personal data. */
export interface HistoryEntry {
  type: HistoryType
  details: JsonObject
}

/** What a transition writes, in one transaction. */
export interface Transition {
  change: Change
  /** To Port, in order. */
  messages: Message[]
  /** Null if nothing happened that is worth an entry. */
  history: HistoryEntry | null
  /** Goes to the end of its repository's queue, and drops the messages that wait. */
  requeue?: boolean
  /** The relay that claimed the delivery keeps its lease. */
  keepLease?: boolean
  /** When its trace is to be exported; only with tracing. Milliseconds since 1970. */
  traceAt?: number
}
