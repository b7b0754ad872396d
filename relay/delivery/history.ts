import type { JsonObject } from '../../port/types.ts'
import type { HistoryType, WaitCause } from './delivery.ts'
import { clockTime } from './outcome.ts'
import { WAITS } from './waiting.ts'

/** An entry of a delivery's timeline, as plain text that pages must escape. */
export type TimelineText = { title: string; tone: 'plain' | 'good' | 'bad' | 'wait'; lines: string[] }

export const timelineText = (
  title: string,
  tone: TimelineText['tone'],
  ...lines: (string | null | undefined)[]
): TimelineText => ({ title, tone, lines: lines.flatMap(line => line || []) })

export const HISTORY: Record<HistoryType, (details: JsonObject) => TimelineText> = {
  waitingNotified: d =>
    timelineText(WAITS[d.cause as WaitCause], 'wait', text(d.blocked_by), text(d.reason), until(d.until)),
  frozen: d => timelineText('Frozen', 'wait', text(d.reason)),
  unfrozen: d => timelineText('Freeze ended', 'plain', text(d.reason)),
  dispatchAccepted: d =>
    timelineText(`${attempt(d)}GitHub accepted the dispatch`, 'good', response(d), run(d)),
  dispatchDeferred: d =>
    timelineText(`${attempt(d)}deferred`, 'wait', text(d.reason), response(d), until(d.until)),
  dispatchRejected: d =>
    timelineText(`${attempt(d)}GitHub rejected the dispatch`, 'bad', text(d.reason), response(d)),
  responseLost: d =>
    timelineText(
      `${attempt(d)}the response was lost`,
      'wait',
      text(d.reason),
      response(d),
      'The relay searches for the workflow run.',
    ),
  runNotFound: d => timelineText('No workflow run was found', 'wait', text(d.reason)),
  runBound: d => timelineText('Bound to its workflow run', 'good', run(d)),
  runReported: d => timelineText('The action reported', 'good', run(d)),
  jobFinished: d => timelineText('A job finished', toneOf(d), conclusion(d)),
  reportReceived: d => timelineText('The action reported the conclusion', toneOf(d), conclusion(d)),
  entityRejected: d => timelineText('Port rejected an entity', 'bad', `Blueprint ${text(d.blueprint)}.`),
  rerunRequested: d => timelineText('Runner lost, running again', 'wait', run(d)),
  rerunRepeated: d => timelineText('Asked again for a second attempt', 'wait', run(d)),
  runFinished: d => timelineText('The workflow run finished', toneOf(d), conclusion(d), text(d.reason)),
  finishedInPort: d => timelineText('The run in Port finished', 'plain', conclusion(d)),
  listenerMissing: d => timelineText('No workflow listens to the dispatch', 'bad', text(d.reason)),
  startTimedOut: d => timelineText('No workflow run started in time', 'bad', text(d.reason)),
  runTimedOut: d => timelineText('The workflow run took too long', 'bad', text(d.reason)),
  runUnidentified: d => timelineText("The workflow run can't be identified", 'bad', text(d.reason)),
  runDeleted: d => timelineText('The workflow run was deleted', 'bad', text(d.reason)),
  runHidden: d => timelineText("The relay used a job's result", 'plain', conclusion(d), text(d.reason)),
  redelivered: () => timelineText('Queued again', 'plain', 'A user redelivered the delivery.'),
  cancelRequested: d =>
    timelineText(
      'A user canceled the delivery',
      'plain',
      d.by === 'port' ? 'In Port.' : "Through the relay's API or dashboard.",
    ),
  cancelSent: d =>
    timelineText(
      'GitHub was asked to cancel the workflow run',
      'wait',
      d.forced === true ? 'The relay forced the cancellation: the first request had no effect.' : null,
    ),
  cancelRejected: d =>
    timelineText("GitHub doesn't allow the relay to cancel the workflow run", 'bad', text(d.reason)),
  cancelled: () => timelineText('Canceled before a workflow run started', 'plain'),
  approvalSeen: d => {
    const waiting = list(d.waiting_for)
    const decided = Array.isArray(d.decided) ? (d.decided as JsonObject[]) : []
    return timelineText(
      waiting.length > 0 ? `${WAITS.approval}: ${waiting.join(', ')}` : 'No longer waiting for approval',
      waiting.length > 0 ? 'wait' : 'plain',
      ...decided.map(each => `${list(each.environments).join(', ')} was ${text(each.state)}.`),
    )
  },
}

const EVIDENCE: Record<string, string> = {
  response: "identified by GitHub's response to the dispatch",
  report: "identified by the action's report, authenticated by OIDC",
  port: 'identified by the run id that the action wrote to Port',
  title: 'identified by its title, which contains the id of the Port run or the delivery',
  candidate: 'the only candidate: no other workflow run could belong to the delivery',
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
  conclusion === undefined || conclusion === null ? null : `Conclusion: ${text(conclusion)}.`
