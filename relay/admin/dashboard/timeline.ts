import type { JsonObject } from '../../../port/types.ts'
import { type Delivery, type HistoryEntry, OPEN_STATES } from '../../delivery/delivery.ts'
import { clockTime, duration } from '../../delivery/outcome.ts'
import { boundRun } from '../../delivery/runs.ts'

/** A point of a delivery's timeline. Its sentences are texts: a page escapes them. */
export interface System {
  /** Milliseconds since 1970; null for what is to come. */
  at: number | null
  title: string
  /** More about it, a line each. */
  lines: string[]
  tone: 'plain' | 'good' | 'bad' | 'wait'
}

export type Entry = HistoryEntry & { at: number }

const EVIDENCE: Record<string, string> = {
  response: "by GitHub's answer to the dispatch",
  report: "by the action's report, authenticated by OIDC",
  port: 'by the run that the action wrote to Port',
  title: 'by its title, which names the run in Port or the delivery',
  candidate: 'as the only candidate: nothing else started in that time',
}

const SOURCES: Record<string, string> = {
  body: 'The body of the webhook names the repository.',
  url: 'The URL of the webhook names the repository.',
  route: 'The first route that matches names the repository (RELAY_ROUTES).',
  default: 'Nothing names a repository: it is RELAY_REPOSITORY.',
}

type Described = Omit<System, 'at'>
type Details = JsonObject

const system = (title: string, tone: System['tone'], ...lines: (string | null | undefined)[]): Described => ({
  title,
  tone,
  lines: lines.filter((line): line is string => typeof line === 'string' && line !== ''),
})
const text = (value: unknown): string | null =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : null
const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [])
const until = (value: unknown) => (typeof value === 'number' ? `Next attempt at ${clockTime(value)}.` : null)

/** GitHub's answer to an attempt, where the history has it. */
function response({ status, github_request_id: id }: Details): string | null {
  if (status === undefined) return null
  return `GitHub answered ${text(status)}${id === undefined ? '' : `, request ${text(id)}`}.`
}
const attempt = ({ attempt }: Details) => (attempt === undefined ? '' : `Attempt ${text(attempt)}: `)
const run = ({ github_run_id: id, evidence }: Details) =>
  id === undefined
    ? null
    : `Workflow run ${text(id)}${EVIDENCE[String(evidence)] ? `, ${EVIDENCE[String(evidence)]}` : ''}.`
const end = (details: Details): System['tone'] =>
  details.state === 'failed' || details.conclusion === 'failure'
    ? 'bad'
    : details.state === 'cancelled'
      ? 'plain'
      : 'good'

const DESCRIBE: Record<string, (details: Details) => Described> = {
  waitingNotified: d => system('Waits for GitHub', 'wait', text(d.reason), until(d.until)),
  dispatchAccepted: d => system(`${attempt(d)}GitHub accepted the dispatch`, 'good', response(d), run(d)),
  dispatchDeferred: d => system(`${attempt(d)}deferred`, 'wait', text(d.reason), response(d), until(d.until)),
  dispatchRejected: d =>
    system(`${attempt(d)}GitHub rejected the dispatch`, 'bad', text(d.reason), response(d)),
  responseLost: d =>
    system(
      `${attempt(d)}the answer was lost`,
      'wait',
      text(d.reason),
      response(d),
      'The relay looks for its workflow run.',
    ),
  runNotFound: d => system('No workflow run was found', 'wait', text(d.reason)),
  runBound: d => system('Bound to its workflow run', 'good', run(d)),
  runReported: d => system('The action reported', 'good', run(d)),
  reportReceived: d => system('The action reported the end', end(d), conclusion(d)),
  runFinished: d => system('The workflow run ended', end(d), conclusion(d), text(d.reason)),
  finishedInPort: d => system('The run in Port ended', 'plain', conclusion(d)),
  startTimedOut: d => system('No workflow run started in time', 'bad', text(d.reason)),
  runTimedOut: d => system('The workflow run took too long', 'bad', text(d.reason)),
  runUnidentified: d => system('The workflow run cannot be identified', 'bad', text(d.reason)),
  runDeleted: d => system('The workflow run was deleted', 'bad', text(d.reason)),
  redelivered: () => system('Queued again', 'plain', 'A person redelivered it.'),
  cancelRequested: d =>
    system(
      'A person cancelled the delivery',
      'plain',
      d.by === 'port' ? 'Its run in Port was ended.' : "Through the relay's API or dashboard.",
    ),
  cancelSent: d =>
    system(
      'GitHub was asked to cancel the workflow run',
      'wait',
      d.forced === true ? 'At once, since the first request had no effect.' : null,
    ),
  cancelRejected: d => system('GitHub does not let the relay cancel it', 'bad', text(d.reason)),
  cancelled: () => system('Cancelled before a workflow run started', 'plain'),
  approvalSeen: d => {
    const waiting = list(d.waiting_for)
    const decided = Array.isArray(d.decided) ? (d.decided as Details[]) : []
    return system(
      waiting.length > 0 ? `Waits for an approval: ${waiting.join(', ')}` : 'No longer waits for an approval',
      waiting.length > 0 ? 'wait' : 'plain',
      ...decided.map(each => `${list(each.environments).join(', ')} was ${text(each.state)}.`),
    )
  },
  attempted: d => system('Attempt', 'plain', text(d.outcome)),
}

const conclusion = (details: Details) =>
  details.conclusion === undefined || details.conclusion === null ? null : `With ${text(details.conclusion)}.`

/** What has happened to a delivery, and what is to come. */
export function timeline(delivery: Delivery, history: readonly Entry[], targetFrom: string | null): System[] {
  const { repository, eventType, workflow, ref } = delivery
  const target =
    workflow === null
      ? `${repository}, event type ${eventType}`
      : `${repository}, workflow ${workflow}${ref === null ? '' : ` on ${ref}`}`
  const why = SOURCES[targetFrom ?? '']
  return [
    { at: delivery.receivedAt, ...system('Received from Port', 'good') },
    { at: delivery.receivedAt, ...system(`Target: ${target}`, 'good', why) },
    ...history.map(({ at, type, details }) => ({
      at,
      ...(DESCRIBE[type]?.(details) ?? system(type, 'plain')),
    })),
    ...toCome(delivery).map(each => ({ at: null, ...each })),
  ]
}

function toCome(delivery: Delivery): Described[] {
  const { state, attempts, dueAt, waitingFor } = delivery
  if (!OPEN_STATES.includes(state)) return []
  const dispatch =
    attempts === 0
      ? system('Dispatch to GitHub', 'plain', 'It waits for its turn in the repository, or for GitHub.')
      : system('Next attempt', 'plain', dueAt === null ? null : `Not before ${clockTime(dueAt)}.`)
  return [
    ...(state === 'queued' ? [dispatch] : []),
    ...(state !== 'running' ? [system('Bound to its workflow run', 'plain')] : []),
    system('End of the workflow run', 'plain', waitingFor && `It waits for an approval: ${waitingFor}.`),
  ]
}

/** How long a delivery took from its acceptance to its workflow run, and to its end, for people. */
export function durations(delivery: Delivery): string | null {
  const { queuedAt, dispatchedAt, updatedAt, state } = delivery
  const parts = [
    dispatchedAt === null ? null : `dispatched after ${duration(dispatchedAt - queuedAt)}`,
    OPEN_STATES.includes(state) ? null : `ended after ${duration(updatedAt - queuedAt)}`,
  ].filter(part => part !== null)
  return parts.length === 0 ? null : parts.join(', ')
}

/** The workflow run's page: as GitHub gave it, else made from its id; null without a run. */
export function runPage(delivery: Delivery, serverUrl: string): { id: number; url: string } | null {
  const bound = boundRun(delivery)
  if (!bound) return null
  return { id: bound.id, url: bound.url || `${serverUrl}/${delivery.repository}/actions/runs/${bound.id}` }
}
