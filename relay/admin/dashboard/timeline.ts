import { duration } from '../../../port/text.ts'
import type { JsonObject } from '../../../port/types.ts'
import { type HistoryEntry, type Listed, OPEN_STATES, type WaitCause } from '../../delivery/delivery.ts'
import { HISTORY } from '../../delivery/history.ts'
import { clockTime } from '../../delivery/outcome.ts'
import { WAITS } from '../../delivery/shown-wait.ts'

/** An entry of a timeline, as plain text that pages must escape. `at`: milliseconds since 1970, null for future entries. */
export type Step = {
  at: number | null
  title: string
  tone: 'plain' | 'good' | 'bad' | 'wait'
  lines: string[]
}

const SOURCES: Record<string, string> = {
  body: "The webhook's body sets the repository.",
  url: "The webhook's URL sets the repository.",
  route: 'The first matching route (RELAY_ROUTES) sets the repository.',
  default: 'RELAY_REPOSITORY applies, because nothing else sets a repository.',
}

export function timeline(
  delivery: Listed,
  history: readonly (HistoryEntry & { at: number })[],
  targetFrom: string | null,
): Step[] {
  const { repository, eventType, workflow, ref } = delivery
  const target =
    workflow === null
      ? `${repository}, event type ${eventType}`
      : `${repository}, workflow ${workflow}${ref === null ? '' : ` on ${ref}`}`
  const why = SOURCES[targetFrom ?? '']
  return [
    { at: delivery.receivedAt, title: 'Received from Port', tone: 'good', lines: [] },
    { at: delivery.receivedAt, title: `Target: ${target}`, tone: 'good', lines: why ? [why] : [] },
    ...history.map(toStep),
    ...toCome(delivery).map(title => ({ at: null, title, tone: 'plain' as const, lines: [] })),
  ]
}

function toCome({ state, attempts }: Listed): string[] {
  if (!OPEN_STATES.includes(state)) return []
  return [
    ...(state === 'queued' ? [attempts === 0 ? 'Dispatch to GitHub' : 'Next attempt'] : []),
    ...(state !== 'running' ? ['A workflow run is bound to the delivery'] : []),
    'End of the workflow run',
  ]
}

const EVIDENCE: Record<string, string> = {
  response: "identified by GitHub's response to the dispatch",
  report: "identified by the action's report, authenticated by OIDC",
  port: 'identified by the run id that the action wrote to Port',
  title: 'identified by its title, which contains the id of the Port run or the delivery',
  candidate: 'the only candidate: no other workflow run could belong to the delivery',
}
function toStep({ at, type, details: d }: HistoryEntry & { at: number }): Step {
  const [text, tone] = HISTORY[type]
  const waiting = list(d.waiting_for).join(', ')
  const titled = waiting ? `${WAITS.approval}: ${waiting}` : (WAITS[d.cause as WaitCause] ?? text)
  const title = /^dispatch|^responseLost/.test(type) ? `Attempt ${d.attempt}: ${titled}` : titled
  const evidence = EVIDENCE[String(d.evidence)]
  const run = d.github_run_id && `Workflow run ${d.github_run_id}${evidence ? `, ${evidence}` : ''}.`
  const lines = [
    d.conclusion ? `Conclusion: ${d.conclusion}.` : run,
    d.blocked_by,
    d.blueprint && `Blueprint ${d.blueprint}.`,
    d.reason,
    d.status &&
      `GitHub responded with ${d.status}${d.github_request_id ? `, request ${d.github_request_id}` : ''}.`,
    d.until && `Next attempt at ${clockTime(Number(d.until))}.`,
    d.by === 'port' && 'In Port.',
    d.by === 'api' && "Through the relay's API or dashboard.",
    d.forced && 'The relay forced the cancellation: the first request had no effect.',
    ...(list(d.decided) as JsonObject[]).map(one => `${list(one.environments).join(', ')} was ${one.state}.`),
  ]
  return {
    at,
    title: title[0]!.toUpperCase() + title.slice(1),
    tone: tone === 'by conclusion' ? toneOf(d) : tone,
    lines: lines.flatMap(line => (line ? String(line) : [])),
  }
}

const list = (value: unknown) => (Array.isArray(value) ? value : [])

function toneOf({ state, conclusion }: JsonObject): Step['tone'] {
  if (state === 'failed' || conclusion === 'failure') return 'bad'
  return state === 'cancelled' ? 'plain' : 'good'
}

export function durations({ queuedAt, dispatchedAt, updatedAt, state }: Listed): string {
  return [
    ...(dispatchedAt === null ? [] : [`dispatched after ${duration(dispatchedAt - queuedAt)}`]),
    ...(OPEN_STATES.includes(state) ? [] : [`finished after ${duration(updatedAt - queuedAt)}`]),
  ].join(', ')
}
