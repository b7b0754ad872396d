import type { JsonObject, LogLine, RunKind, RunUpdate } from '../../port/types.ts'

/**
 * What a delivery may be. `queued` → `dispatched` (GitHub took it) → `running` (its workflow run is known)
 * → `finished`; `failed` from any of them, with the reason, and from there a person may redeliver it.
 */
export type State = 'queued' | 'dispatched' | 'running' | 'finished' | 'failed'

/** One try at GitHub: when (milliseconds since 1970) and what came of it, as a sentence. */
export interface Attempt {
  at: number
  outcome: string
}

/** A webhook that was accepted. Times are milliseconds since 1970. */
export interface Delivery {
  /** Order of acceptance, and with it of dispatch within a repository; redelivered, it stands behind the others. */
  seq: number
  id: string
  /** `run:<id>`, else a digest of timestamp and signature: what makes two deliveries one. */
  identity: string
  runId: string | null
  kind: RunKind
  action: string | null
  repository: string
  eventType: string
  /** The invocation as JSON text, whole: what does not fit the client payload is handed out from here. */
  invocation: string
  state: State
  /** Why it failed. */
  reason: string | null
  attempts: Attempt[]
  receivedAt: number
  /** When it last entered the queue: received, or redelivered. */
  queuedAt: number
  updatedAt: number
  /** When the next step is to be taken; null when there is none. */
  dueAt: number | null
  /**
   * Counts claims, and leases given back. A write carries the number it was claimed under: a relay that lost its
   * lease changes nothing, nor does one that writes again what it does not know to be written.
   */
  lease: number
  /** When the dispatch was last sent. Set before sending: a delivery found with it, and without an answer, may or may not have reached GitHub. */
  sentAt: number | null
  dispatchedAt: number | null
  /** The workflow run, once known. */
  githubRunId: number | null
  githubRunAttempt: number | null
  /**
   * Workflow runs that the delivery is over with: those it ended by without being bound to them, and once it is
   * redelivered those that it was bound to. Redelivered, it is never one of them again.
   */
  pastRuns: number[]
}

/** What tells which workflow runs are of which delivery, of one that was sent. */
export interface Sent extends Pick<Delivery, 'id' | 'seq' | 'eventType' | 'githubRunId' | 'pastRuns'> {
  sentAt: number
  /** Whether it has ended with its runs among `pastRuns`, or without one that was seen. */
  over: boolean
}

/** What intake writes. */
export interface NewDelivery {
  id: string
  identity: string
  /** Digest of timestamp and signature where the run id is not part of what was signed: the same signed bytes are one delivery whatever the header says. */
  replayKey: string | null
  /** Whose secret has signed it: the id of an organisation of the configuration. */
  organisation: string
  runId: string | null
  kind: RunKind
  action: string | null
  repository: string
  /** Null where the target is a workflow. */
  eventType: string | null
  /** File name or id. */
  workflow: string | null
  /** Of the workflow; null for the default branch. */
  ref: string | null
  invocation: string
  receivedAt: number
}

/** What a step may change. */
export type Change = Partial<
  Pick<
    Delivery,
    | 'state'
    | 'reason'
    | 'attempts'
    | 'dueAt'
    | 'sentAt'
    | 'dispatchedAt'
    | 'githubRunId'
    | 'githubRunAttempt'
    | 'pastRuns'
  >
>

/** One call to Port, to be made in order and until Port has answered. */
export type Report =
  | { log: LogLine[] }
  | { update: RunUpdate; unlessStarted?: boolean }
  /** Created or changed, and tied to the run. */
  | { entity: { blueprint: string; properties: JsonObject } }

/** A delivery with words for Port, claimed together. */
export interface Telling {
  id: string
  runId: string
  repository: string
  lease: number
  /** In order; `seq` names each for {@link Store.told}. */
  reports: { seq: number; report: Report; createdAt: number }[]
  /** How often in a row Port could not be told. */
  tries: number
}
