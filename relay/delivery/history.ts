import type { JsonObject } from '../../port/types.ts'
import type { HistoryType } from './delivery.ts'
import { clockTime } from './outcome.ts'

/** An entry of a delivery's timeline, as plain text. Pages escape it. */
export interface TimelineText {
  title: string
  tone: 'plain' | 'good' | 'bad' | 'wait'
  lines: string[]
}

interface Texts {
  log: string
  timeline: (details: JsonObject) => TimelineText
}

export const timelineText = (
  title: string,
  tone: TimelineText['tone'],
  ...lines: (string | null | undefined)[]
): TimelineText => ({
  title,
  tone,
  lines: lines.filter((line): line is string => typeof line === 'string' && line !== ''),
})

export const HISTORY: { [T in HistoryType]: Texts } = {
  waitingNotified: {
    log: 'the delivery waits',
    timeline: d =>
      d.cause === 'queue'
        ? timelineText('Waits for an earlier delivery of the repository', 'wait', text(d.blocked_by))
        : timelineText(WAITS[String(d.cause)] ?? 'Waits for GitHub', 'wait', text(d.reason), until(d.until)),
  },
  frozen: { log: 'the delivery is frozen', timeline: d => timelineText('Frozen', 'wait', text(d.reason)) },
  unfrozen: { log: 'a freeze ended', timeline: d => timelineText('Freeze ended', 'plain', text(d.reason)) },
  dispatchAccepted: {
    log: 'GitHub accepted the dispatch',
    timeline: d => timelineText(`${attempt(d)}GitHub accepted the dispatch`, 'good', response(d), run(d)),
  },
  dispatchDeferred: {
    log: 'the dispatch is deferred',
    timeline: d => timelineText(`${attempt(d)}deferred`, 'wait', text(d.reason), response(d), until(d.until)),
  },
  dispatchRejected: {
    log: 'GitHub rejected the dispatch',
    timeline: d =>
      timelineText(`${attempt(d)}GitHub rejected the dispatch`, 'bad', text(d.reason), response(d)),
  },
  responseLost: {
    log: "GitHub's response to the dispatch was lost",
    timeline: d =>
      timelineText(
        `${attempt(d)}the response was lost`,
        'wait',
        text(d.reason),
        response(d),
        'The relay searches for the workflow run.',
      ),
  },
  runNotFound: {
    log: 'no workflow run was found',
    timeline: d => timelineText('No workflow run was found', 'wait', text(d.reason)),
  },
  runBound: {
    log: 'a workflow run is bound to the delivery',
    timeline: d => timelineText('Bound to its workflow run', 'good', run(d)),
  },
  runReported: {
    log: 'the workflow run reported',
    timeline: d => timelineText('The action reported', 'good', run(d)),
  },
  jobFinished: {
    log: 'a job of the workflow run finished',
    timeline: d => timelineText('A job finished', toneOf(d), conclusion(d)),
  },
  reportReceived: {
    log: 'the delivery finished: its workflow run reported the conclusion',
    timeline: d => timelineText('The action reported the conclusion', toneOf(d), conclusion(d)),
  },
  rerunRequested: {
    log: 'the failed jobs lost their runner; GitHub is asked to run them again',
    timeline: d => timelineText('Runner lost, running again', 'wait', run(d)),
  },
  runFinished: {
    log: 'the delivery finished with its workflow run',
    timeline: d => timelineText('The workflow run finished', toneOf(d), conclusion(d), text(d.reason)),
  },
  finishedInPort: {
    log: 'the delivery finished because its run in Port finished',
    timeline: d => timelineText('The run in Port finished', 'plain', conclusion(d)),
  },
  listenerMissing: {
    log: 'no workflow listens to the dispatch',
    timeline: d => timelineText('No workflow listens to the dispatch', 'bad', text(d.reason)),
  },
  startTimedOut: {
    log: 'the delivery finished without a workflow run',
    timeline: d => timelineText('No workflow run started in time', 'bad', text(d.reason)),
  },
  runTimedOut: {
    log: 'the delivery finished: RELAY_RUN_TIMEOUT has passed',
    timeline: d => timelineText('The workflow run took too long', 'bad', text(d.reason)),
  },
  runUnidentified: {
    log: "the delivery finished: its workflow run can't be identified",
    timeline: d => timelineText("The workflow run can't be identified", 'bad', text(d.reason)),
  },
  runDeleted: {
    log: 'the delivery finished: its workflow run was deleted',
    timeline: d => timelineText('The workflow run was deleted', 'bad', text(d.reason)),
  },
  runHidden: {
    log: "the delivery finished with its job's result: GitHub refuses to show the workflow run",
    timeline: d => timelineText("A job's result counts", 'plain', conclusion(d), text(d.reason)),
  },
  redelivered: {
    log: 'the delivery is queued again',
    timeline: () => timelineText('Queued again', 'plain', 'A user redelivered the delivery.'),
  },
  cancelRequested: {
    log: 'a user canceled the delivery',
    timeline: d =>
      timelineText(
        'A user canceled the delivery',
        'plain',
        d.by === 'port' ? 'In Port.' : "Through the relay's API or dashboard.",
      ),
  },
  cancelSent: {
    log: 'GitHub was asked to cancel the workflow run',
    timeline: d =>
      timelineText(
        'GitHub was asked to cancel the workflow run',
        'wait',
        d.forced === true ? 'The relay forced the cancellation: the first request had no effect.' : null,
      ),
  },
  cancelRejected: {
    log: "GitHub doesn't allow the relay to cancel the workflow run",
    timeline: d => timelineText("GitHub doesn't allow the relay to cancel the run", 'bad', text(d.reason)),
  },
  cancelled: {
    log: 'the delivery was canceled before a workflow run started',
    timeline: () => timelineText('Canceled before a workflow run started', 'plain'),
  },
  approvalSeen: {
    log: 'the workflow run is waiting for an approval, or a reviewer decided',
    timeline: d => {
      const waiting = list(d.waiting_for)
      const decided = Array.isArray(d.decided) ? (d.decided as JsonObject[]) : []
      return timelineText(
        waiting.length > 0
          ? `Waits for an approval: ${waiting.join(', ')}`
          : 'No longer waits for an approval',
        waiting.length > 0 ? 'wait' : 'plain',
        ...decided.map(each => `${list(each.environments).join(', ')} was ${text(each.state)}.`),
      )
    },
  },
}

const WAITS: Record<string, string> = {
  runner: 'Waits for a runner',
  concurrency: 'Waits in its concurrency group',
}

const EVIDENCE: Record<string, string> = {
  response: "by GitHub's response to the dispatch",
  report: "by the action's report, authenticated by OIDC",
  port: 'by the run that the action wrote to Port',
  title: 'by its title, which contains the id of the Port run or the delivery',
  candidate: 'as the only candidate, because no other run started in that time',
}

const text = (value: unknown): string | null =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : null
const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [])
const until = (value: unknown) => (typeof value === 'number' ? `Next attempt at ${clockTime(value)}.` : null)
const attempt = ({ attempt }: JsonObject) => (attempt === undefined ? '' : `Attempt ${text(attempt)}: `)

function response({ status, github_request_id: id }: JsonObject): string | null {
  if (status === undefined) return null
  return `GitHub responded with ${text(status)}${id === undefined ? '' : `, request ${text(id)}`}.`
}

function run({ github_run_id: id, evidence }: JsonObject): string | null {
  if (id === undefined) return null
  const how = EVIDENCE[String(evidence)]
  return `Workflow run ${text(id)}${how ? `, ${how}` : ''}.`
}

function toneOf({ state, conclusion }: JsonObject): TimelineText['tone'] {
  if (state === 'failed' || conclusion === 'failure') return 'bad'
  return state === 'cancelled' ? 'plain' : 'good'
}

const conclusion = ({ conclusion }: JsonObject) =>
  conclusion === undefined || conclusion === null ? null : `With ${text(conclusion)}.`
