import type { Conclusion, JsonObject, LogLine, RunKind, RunUpdate } from '../../port/types.ts'
import type { Target } from '../github/client.ts'
import type { PauseCause } from '../github/rate-limit-pause.ts'
import type { HistoryType } from './history.ts'

/**
 * A delivery's state: `queued` → `dispatched` → `running` → `finished`. `dispatched`: GitHub accepted the dispatch, or
 * a user canceled before GitHub responded. `running`: the workflow run is known. An open delivery can also become
 * `failed` (with a reason) or `cancelled` (by a user). A user can redeliver a failed or canceled delivery.
 */
export type State = 'queued' | 'dispatched' | 'running' | 'finished' | 'failed' | 'cancelled'

export const STATES: readonly State[] = ['queued', 'dispatched', 'running', 'finished', 'failed', 'cancelled']
export const OPEN_STATES: readonly State[] = ['queued', 'dispatched', 'running']

export type Outcome = 'succeeded' | 'failed' | 'cancelled' | 'not_started' | 'unknown'

export const OUTCOMES: readonly Outcome[] = ['succeeded', 'failed', 'cancelled', 'not_started', 'unknown']

/**
 * The cause of a wait. Before the dispatch: an earlier delivery, a pause of the credential, an error of GitHub, the
 * dispatch rate, or a freeze. On GitHub: a runner or a concurrency group. `hidden`: unknown, because GitHub refuses to
 * show the runs.
 */
export type WaitCause = 'queue' | PauseCause | 'error' | 'rate' | 'frozen' | WaitCauseOnGitHub
type WaitCauseOnGitHub = 'runner' | 'concurrency' | 'hidden'

/** Why a delivery waits. `until` is null while the relay searches for the workflow run. */
export type Wait =
  | { cause: 'queue'; blocker: Pick<Delivery, 'id' | 'runId'> }
  | { cause: Exclude<WaitCause, 'queue'>; reason: string; until: number | null }

export const REDELIVERABLE: readonly State[] = ['failed', 'cancelled']

/** If a workflow run has waited for a runner for this long, the relay raises an alert. */
export const NO_RUNNER_MS = 600_000
/** If a rate limit ends more than this after the time in Port's label, the relay renews the label. */
export const RENEWED_MS = 60_000
/** How long Port still shows a pause that has ended. During this time, the dispatch that waited is retried. */
export const RETRIED_MS = 10_000

/** The kinds of evidence that a workflow run belongs to a delivery, the strongest first. */
export type Evidence = 'response' | 'report' | 'port' | 'title' | 'candidate'

/** The last known state of a workflow run that belongs to a delivery. */
export interface DeliveryRun {
  id: number
  attempt: number
  evidence: Evidence
  /** Whether the run is from before a redelivery, and therefore no longer affects the delivery. */
  past: boolean
  /** GitHub's status; `unknown` until the run is read. */
  status: string
  conclusion: string | null
  /** The URL of the run's page; empty until the run is read. */
  url: string
  /** Whether the action reports the result through the relay. If so, a result that is already in Port is from a user. */
  reportsConclusion?: boolean
}

/** The reports of jobs. The relay keeps them for the final update of the Port run, because each update replaces the earlier texts. */
export interface Reported {
  /** The attempt of the workflow run to which `jobs` belong; 0 if no job has reported a result. */
  attempt: number
  jobs: JobResult[]
  summary: { text: string; own: boolean; conclusion: Conclusion } | null
  links: string[]
}

export interface JobResult {
  /** The job's ID on GitHub, or its name if the action doesn't know the ID. */
  job: number | string
  conclusion: Conclusion
  author: Conclusion
}

/** A required entity that Port rejected, such as `service "shop"`. The rejection turns a success of this attempt into a failure. */
export type Rejected = { attempt: number; entity: string }

/** An accepted webhook and its progress. Times are milliseconds since 1970, by the store's clock. */
export interface Delivery extends Target {
  /** The delivery's position among all deliveries, and in its repository's queue. A redelivered delivery gets the next free number. */
  seq: number
  id: string
  /** `run:<id>`, or a digest of timestamp and signature. Webhooks with the same key are the same delivery. */
  dedupeKey: string
  runId: string | null
  kind: RunKind
  action: string | null
  state: State
  outcome: Outcome | ''
  /** Why the delivery failed, why its dispatch is waiting, or why a workflow run might never start. */
  reason: string | null
  receivedAt: number
  /** The time of the receipt or of the latest redelivery. */
  queuedAt: number
  updatedAt: number
  /** When the next step is due, or null. */
  dueAt: number | null
  /** A fencing token, which counts claims and changes. A change is applied only to the version on which it is based. */
  version: number
  attempts: number
  firstAttemptAt: number | null
  /** When the latest dispatch was sent, recorded before the request. */
  attemptedAt: number | null
  /** When the latest attempt was sent, or its response was lost; null if GitHub has responded. */
  awaitingResponseSince: number | null
  /** The cause of the wait that Port shows; empty if Port shows none. */
  shownCause: WaitCause | ''
  /** The end of GitHub's rate limit that Port shows; 0 if Port shows none. */
  shownUntil: number
  /** Details of the wait that Port shows: GitHub's response, a runner's labels, or the URL of the run that is in progress in the concurrency group. */
  shownReason: string
  /** When Port was notified of the wait; 0 if Port wasn't notified. */
  shownAt: number
  /** The id of the deploy freeze that holds the queued delivery back; 0 for none. */
  frozenBy: number
  /** When the latest freeze of the delivery ended; null for none. */
  unfrozenAt: number | null
  dispatchedAt: number | null
  cancelRequestedAt: number | null
  cancelSentAt: number | null
  /** Whether the relay requested a forced cancellation because the first request had no effect. */
  cancelForced: boolean
  /** The environments that must be approved before the run continues, separated by commas; null for none. */
  waitingFor: string | null
  /** The decisions of reviewers that Port's log shows, one per line, such as `production:approved`. */
  decisions: string
  /** The node run's outputs as JSON text; empty for none. Each update to Port replaces all outputs. */
  outputs: string
  reported: Reported | null
  rejected: Rejected | null
  finishingAt: number | null
  /** Whether the relay reports the final status of a workflow that has started. If not, another system reports it. */
  reportWorkflowStatus: boolean
  /**
   * The time of the relay's request for a re-run, recorded before the request is sent. 0: the relay hasn't requested one,
   * and may do so if jobs lose their runners. Null: the relay never requests one.
   */
  rerunAt: number | null
  /** Whether GitHub has sent a `workflow_run` webhook about the delivery since the delivery was queued. */
  runWebhook: boolean
  runs: DeliveryRun[]
}

/** A delivery in a list, without the jobs' reports, because reading these for many deliveries takes too long. */
export type Listed = Omit<Delivery, 'reported'>

export interface NewDelivery
  extends Target,
    Pick<Delivery, 'id' | 'dedupeKey' | 'runId' | 'kind' | 'action' | 'receivedAt'> {
  invocation: string
  /** The digest of the webhook's signature, a space, and the webhook's address (path and query). */
  sentAs: string
  /** The digest of the signature; null if the signed body contains the run ID, because the dedupe key is then sufficient. */
  signature: string | null
  reportWorkflowStatus?: boolean
  rerunAt?: number | null
}

/** The fields that a transition changes. `runs` contains all runs, even unchanged ones. */
export type Change = Partial<
  Omit<Delivery, Exclude<keyof NewDelivery, 'rerunAt'> | 'seq' | 'updatedAt' | 'version'>
>

export type Message =
  | { log: LogLine[] }
  /** `unlessStarted`: whether to drop the update if the action has reported. */
  | { update: RunUpdate; unlessStarted?: boolean }
  | { entity: EntityMessage }

export interface EntityMessage {
  blueprint: string
  properties: JsonObject
  operation?: 'upsert' | 'delete'
  /** `required`: whether the Port run fails if Port rejects the entity. `attempt`: the attempt of the workflow run that wrote it. */
  required?: true
  attempt?: number
}

/** An entry of a delivery's history. `details` contains no inputs, secrets, or personal data. */
export type HistoryEntry = { type: HistoryType; details: JsonObject }

/** What a transition writes, in one database transaction. */
export interface Transition {
  change: Change
  messages: Message[]
  history: HistoryEntry | null
  /** Moves the delivery to the end of its repository's queue and drops its waiting messages. */
  requeue?: boolean
  /** When to export the delivery's trace if tracing is on, in milliseconds since 1970. */
  traceAt?: number
}

/** The oldest delivery in a repository's queue. `stalledSince`: since when nothing was dispatched from this queue. */
export type Stalled = Delivery & { stalledSince: number }
