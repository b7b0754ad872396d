import type { LogLine } from '../../port/types.ts'
import type { Approval, PendingDeployment } from '../github/approvals.ts'
import type { Job } from '../github/jobs.ts'
import type { PauseCause } from '../github/rate-limit-pause.ts'
import type { ResponseId } from '../github/response.ts'
import type { Listeners } from '../github/workflow-files.ts'
import type { DeliveryRun, Message, Wait } from './delivery.ts'

/** A finished job. Its name is omitted, because it can contain inputs. Times are milliseconds since 1970. */
export type FinishedJob = { id: number; conclusion: string | null; startedAt: number; finishedAt: number }

export interface JobsFound {
  jobs: Job[] | null
  /** All failed jobs, if each of them lost its runner; otherwise empty. */
  lost: Job[]
  /** Lines for Port's log: the failed jobs, their failed steps, and the last lines of their logs. */
  lines: LogLine[]
}

/** Why the relay doesn't know the result of a delivery's workflow run. Durations are in milliseconds. */
export type NoRun =
  /** `queued`: how many workflow runs of the repository were created in the ten seconds before GitHub accepted the dispatch. */
  | { why: 'nothing listens'; queued?: number; listeners?: Listeners }
  | { why: 'not seen'; reason: string; startTimeout: number }
  | { why: 'unidentified'; amount: number }
  | { why: 'deleted' }
  | { why: 'too long'; runTimeout: number; status: string }
  | { why: 'end not seen'; runTimeout: number; reason: string }
  | { why: 'unknown'; runTimeout: number; reason: string }

/** Events of a delivery. Times are milliseconds since 1970; reasons are shown to users. */
export type DeliveryEvent =
  /** `run`: the workflow run in GitHub's response to a `workflow_dispatch`. */
  | ({ type: 'dispatchAccepted'; run: { id: number; url: string } | null } & OfAttempt)
  | ({ type: 'dispatchRejected'; reason: string } & OfAttempt)
  /** The dispatch started nothing, and can be repeated. `until`: the time that GitHub set for the next attempt. */
  | ({
      type: 'dispatchDeferred'
      cause: PauseCause | 'error' | 'unsent'
      reason: string
      until: number | null
    } & OfAttempt)
  /** GitHub's response was lost, so the dispatch may have started a workflow run. */
  | ({ type: 'responseLost'; reason: string } & OfAttempt)
  /** After a lost response, the relay found no workflow run. `readAt`: when the read of the list started. */
  | { type: 'runNotFound'; list: RunList; readAt: number; reason: string }
  /** A poll or, with `webhook`, a webhook showed the delivery's workflow runs. `pollAt`: when to poll again. */
  /** `wait`: what the workflow runs wait for on GitHub, if Port doesn't show this cause yet. */
  | { type: 'runsSeen'; runs: DeliveryRun[]; pollAt: number; webhook?: true; wait?: Wait }
  /** The action sent a report, authenticated with OIDC. */
  | { type: 'runReported'; run: DeliveryRun }
  | { type: 'jobFinished'; runId: number; job: FinishedJob }
  /** The action sent messages. `attempt`: the attempt of the workflow run. `ending`: whether the job is finishing. */
  | { type: 'reportReceived'; messages: Message[]; attempt: number; ending: boolean }
  /** Port rejected an entity that this attempt of the workflow run requires. */
  | { type: 'entityRejected'; attempt: number; entity: string; blueprint: string }
  /** Every failed job of the first attempt lost its runner. The relay records this before it asks GitHub to run these jobs again. */
  | { type: 'rerunRequested'; run: DeliveryRun; lost: Job[] }
  | { type: 'runFinished'; run: DeliveryRun; runs: DeliveryRun[]; found: JobsFound | null }
  /** The run in Port has finished. `conclusion`: the run's status in Port. */
  | { type: 'finishedInPort'; runs: DeliveryRun[]; conclusion?: string }
  /** No active workflow on the default branch listens to the dispatch. */
  | { type: 'listenerMissing'; listeners: Listeners; pollAt: number }
  | { type: 'startTimedOut'; cause: NoRun }
  | { type: 'runTimedOut'; cause: NoRun }
  | { type: 'runUnidentified'; cause: NoRun }
  | { type: 'runDeleted'; cause: NoRun }
  /** GitHub refuses to show the workflow run, so the delivery finishes with the result that a job reported. */
  | { type: 'runHidden'; cause: NoRun }
  /** The delivery waits in the queue. Port shows each cause once. */
  | { type: 'waitingNotified'; wait: Wait }
  /** A deploy freeze holds the queued delivery back. */
  | { type: 'frozen'; freeze: { id: number; reason: string } }
  | { type: 'unfrozen'; freeze: { id: number; reason: string } }
  | { type: 'redelivered' }
  /** A user canceled the delivery in Port or through the relay's API, or an operator discarded the frozen deliveries. */
  | { type: 'cancelRequested'; by: 'port' | 'api' | 'freeze' }
  /** The relay asked GitHub to cancel the workflow runs. `pollAt`: when to poll again. */
  | { type: 'cancelSent'; forced: boolean; pollAt: number }
  | { type: 'cancelRejected'; reason: string; pollAt: number }
  /** The workflow run waits for reviewers or timers. `decided`: all decisions, or the single decision in a webhook. */
  | { type: 'approvalSeen'; pending: PendingDeployment[]; decided: Approval[] }

/** The fields of an event about an attempt. `attemptedAt` identifies the attempt. `response`: GitHub's response. */
type OfAttempt = { attemptedAt: number | null; response?: ResponseId | undefined }

export type EventType = DeliveryEvent['type']
export type Event<T extends EventType> = Extract<DeliveryEvent, { type: T }>

/**
 * What the list of workflow runs shows about a delivery without a known run. `empty`: no candidates. `ambiguous`:
 * several candidates, or one that could belong to another delivery. `forbidden`: the relay lacks the permission to read
 * the list. `unavailable`: the relay can't read the list now.
 */
type RunList = 'empty' | 'ambiguous' | 'forbidden' | 'unavailable'

/** Settings that transitions depend on. Durations are in milliseconds. */
export interface Policy {
  startTimeout: number
  runTimeout: number
  /** No timeout starts before this time, in milliseconds since 1970. While timeouts are suspended, for example because a clock is wrong, this time is in the future. */
  timeoutsFrom: number
  /** GitHub's web address: `https://github.com` */
  serverUrl: string
}

/** `now`: milliseconds since 1970, by the store's clock. */
export type Context = { now: number; policy: Policy }

export const timeoutEnd = (
  start: number,
  timeout: number,
  { timeoutsFrom }: Pick<Policy, 'timeoutsFrom'>,
): number => Math.max(start, timeoutsFrom) + timeout
