import type { LogLine } from '../../port/types.ts'
import type { Approval, PendingDeployment } from '../github/approvals.ts'
import type { Job } from '../github/jobs.ts'
import type { DeliveryRun, Message } from './delivery.ts'

/** A job without its name, which can contain inputs. Times are milliseconds since 1970. */
export interface FinishedJob {
  id: number
  conclusion: string | null
  startedAt: number
  finishedAt: number
}

/** What GitHub shows of the jobs of a finished run. */
export interface JobsFound {
  /** Null if they couldn't be read. */
  jobs: Job[] | null
  /** The failed jobs, their failed steps, and the last lines of their logs, for Port's log. */
  lines: LogLine[]
}

/** Why no workflow run of a delivery was followed until it finished. Times are milliseconds. */
export type NoRun =
  | { why: 'nothing listens'; disabled: string[]; workflows: number | null }
  | { why: 'not seen'; reason: string; startTimeout: number }
  | { why: 'unidentified'; amount: number }
  | { why: 'deleted' }
  | { why: 'too long'; runTimeout: number; status: string }
  | { why: 'end not seen'; runTimeout: number; reason: string }
  | { why: 'unknown'; runTimeout: number; reason: string }

/** What can happen to a delivery. Times are milliseconds since 1970; reasons are sentences or clauses for users. */
export type DeliveryEvent =
  /** A dispatch is about to be sent. */
  | { type: 'attemptStarted' }
  /** `run`: the one that GitHub's response to a `workflow_dispatch` names. */
  | ({ type: 'dispatchAccepted'; attempt: number; run: { id: number; url: string } | null } & WithResponse)
  | ({ type: 'dispatchRejected'; attempt: number; reason: string } & WithResponse)
  /** Nothing was started; `until`: when GitHub accepts it again, if GitHub named a time. */
  | ({ type: 'dispatchDeferred'; attempt: number; reason: string; until: number | null } & WithResponse)
  /** The dispatch may or may not have started a workflow run. */
  | ({ type: 'responseLost'; attempt: number; reason: string } & WithResponse)
  /** After a lost response, no evidence of a run. `readAt`: of the list. */
  | { type: 'runNotFound'; list: RunList; readAt: number; reason: string }
  /** The workflow runs that belong to it, as they are now; `pollAt`: when to poll again. */
  | { type: 'runsSeen'; runs: DeliveryRun[]; pollAt: number }
  /** The action reported, authenticated by OIDC. */
  | { type: 'runReported'; run: DeliveryRun }
  /** A job of its workflow run finished. */
  | { type: 'jobFinished'; runId: number; job: FinishedJob }
  /** Messages of the action; `ends`: one of them has the conclusion; `ending`: its job is finishing. */
  | { type: 'reportReceived'; messages: Message[]; ends: boolean; ending: boolean }
  | { type: 'runFinished'; run: DeliveryRun; runs: DeliveryRun[]; found: JobsFound | null }
  /** Its run in Port has finished, whoever finished it; `conclusion`: as Port shows it. */
  | { type: 'finishedInPort'; runs: DeliveryRun[]; conclusion?: string }
  /** No workflow file of the default branch listens to the dispatch; `hasFiles`: there are others. */
  | { type: 'listenerMissing'; hasFiles: boolean; pollAt: number }
  | { type: 'startTimedOut'; cause: NoRun }
  | { type: 'runTimedOut'; cause: NoRun }
  | { type: 'runUnidentified'; cause: NoRun }
  | { type: 'runDeleted'; cause: NoRun }
  /** A rate-limit pause: Port's log shows once that the delivery waits. */
  | { type: 'waitingNotified'; reason: string; until: number }
  | { type: 'redelivered' }
  /** A user canceled it: in Port, or through the relay's API. */
  | { type: 'cancelRequested'; by: 'port' | 'api' }
  /** GitHub was asked to cancel its runs; `pollAt`: when to poll again. */
  | { type: 'cancelSent'; forced: boolean; pollAt: number }
  /** GitHub doesn't allow the relay to cancel them. */
  | { type: 'cancelRejected'; reason: string; pollAt: number }
  /** Its run waits for reviewers or timers; `decided`: decisions so far, or the one that a webhook brings. */
  | { type: 'approvalSeen'; pending: PendingDeployment[]; decided: Approval[]; url: string }

/** `response`: GitHub's, if there was one. */
interface WithResponse {
  response?: { status: number; requestId: string | null } | undefined
}

export type EventType = DeliveryEvent['type']
export type Event<T extends EventType> = Extract<DeliveryEvent, { type: T }>

/**
 * What the list of runs shows for a delivery without a known run: no candidate; several, or one that could belong to
 * another delivery; that it may not be read; or that it cannot be read now.
 */
type RunList = 'empty' | 'ambiguous' | 'forbidden' | 'unavailable'

/** What transitions depend on besides the delivery and the event. Times are milliseconds. */
export interface Policy {
  /** RELAY_START_TIMEOUT */
  startTimeout: number
  /** RELAY_RUN_TIMEOUT */
  runTimeout: number
  /** GitHub's web address: `https://github.com` */
  serverUrl: string
}
