import { expect, test } from 'vitest'
import type { RunState } from '../../port/types.ts'
import type { Delivery, DeliveryRun } from '../../relay/delivery/delivery.ts'
import { nextStep, type Observation } from '../../relay/delivery/observation.ts'
import { pollInterval } from '../../relay/delivery/poll-interval.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const BEGIN = 1_000_000
const START = 10 * MINUTE
const DAY = 1_440 * MINUTE
const POLICY = { startTimeout: START, runTimeout: DAY, serverUrl: 'https://github.com', timeoutsFrom: 0 }

interface Scene extends Partial<Omit<Observation, 'confirmed'>> {
  confirmed?: Observation['confirmed']
  /** The workflow runs of the delivery. Default: one run in progress, identified by its title. */
  runs?: Partial<DeliveryRun>[]
  /** Changes to the delivery. If these contain no runs, the delivery has the runs above. */
  delivery?: Partial<Delivery>
  snapshot?: Partial<Observation['found']['snapshot']>
  of?: Partial<Observation['found']>
  /** The run in Port. Default: in progress. */
  run?: Partial<RunState>
}

const aRun = (more: Partial<DeliveryRun>): DeliveryRun => ({
  ...{ id: 7, attempt: 1, past: false, status: 'in_progress', conclusion: null, url: '', evidence: 'title' },
  ...more,
})

/** Returns the next step of a poll at this time after the dispatch, as text. */
function poll(after: number, { runs = [{}], delivery, snapshot, of, run, ...seen }: Scene): string {
  const now = BEGIN + after
  const all = runs.map(aRun)
  const subject = {
    ...{ cancelRequestedAt: null, cancelSentAt: null, waitingFor: null, kind: 'action_run', workflow: null },
    ...{ state: all.length > 0 ? 'running' : 'dispatched', reason: null, runs: all, updatedAt: BEGIN },
    ...{ receivedAt: BEGIN, queuedAt: BEGIN, dispatchedAt: BEGIN },
    ...{ reported: null, finishingAt: null, runWebhook: false, ...delivery },
  } as unknown as Delivery
  const port = { status: 'in_progress', finished: false, externalRunId: null, synchronized: false } as const
  const observation: Observation = {
    found: {
      ...{ runs: all, candidates: [], whole: true, elsewhere: false, ...of },
      snapshot: {
        ...{ access: 'read', reason: null, refusedFor: 0, runs: new Map(), gone: new Set() },
        ...{ readAt: now, covers: 0, nextAt: now, ...snapshot },
      },
    },
    ...{ now, port: { ...port, properties: null, body: null, ...run }, portDue: false, portFreeAt: 0 },
    ...{ finishedSince: null, clockOffset: 0, canReport: true, jobs: 'not read', confirmed: new Map() },
    ...{ listeners: 'found', wait: 'not read', approvals: 'not due', cancelTried: false, ...seen },
  }
  const step = nextStep(subject, observation, POLICY)
  if (step.do !== 'apply') return step.do
  const { event } = step
  if (event.type === 'runFinished') return `runFinished ${event.run.conclusion} of ${event.run.id}`
  if (event.type === 'finishedInPort') return `finishedInPort ${event.conclusion}`
  if ('cause' in event && typeof event.cause === 'object' && 'why' in event.cause) {
    return `${event.type}: ${event.cause.why}`
  }
  return event.type === 'runsSeen' ? 'later' : event.type
}

const NONE = { runs: [] }
const QUEUED = { runs: [{ status: 'queued' }] }
const ended = (conclusion: string, more: Partial<DeliveryRun> = {}) => ({
  status: 'completed',
  conclusion,
  ...more,
})
const ENDED = { runs: [ended('success')] }
const FAILED = { runs: [ended('failure')] }
const GONE = { gone: new Set([7]) }
const of404 = (evidence: DeliveryRun['evidence'], more: Scene = {}): Scene => ({
  ...{ runs: [{ evidence, status: 'in_progress' }], snapshot: GONE },
  ...more,
})
const REFUSED = { access: 'forbidden' as const, refusedFor: MINUTE }
const candidates = (...statuses: string[]) =>
  ({ candidates: statuses.map((status, id) => ({ id, status })) }) as unknown as Scene['of']
const READ = { jobs: { jobs: [], lost: [], lines: [] } }
/** A list that was read `read` seconds after the dispatch shows that the run finished `after` ms after the dispatch. */
const seenAt = (after: number, read = 120) => {
  const runs = new Map([[7, { updatedAt: BEGIN + after }]])
  return { snapshot: { runs, readAt: BEGIN + read * SECOND } } as unknown as Scene
}
const UNCONFIRMED: Scene = { ...FAILED, ...READ, confirmed: 'unread' }
const UNREAD: Scene = { port: 'unread', ...ENDED }
const NODE = { kind: 'node_run' as const }
const REPORTED = { evidence: 'report' as const, reportsConclusion: true }
const IN_PORT = { status: 'failure', finished: true } as const
const SYNCHRONOUS = { ...IN_PORT, synchronized: true }
const WAITING = { runs: [{ status: 'waiting' }] }
const CANCEL = { cancelRequestedAt: BEGIN }

/** Columns: the time since the dispatch, the facts that the poll has read, and the next step. `later`: another poll. */
const STEPS: [after: number, seen: Scene, step: string][] = [
  [29 * SECOND, QUEUED, 'later'],
  [30 * SECOND, QUEUED, 'read wait'],
  [3 * START, { ...QUEUED, delivery: { shownCause: 'runner' } }, 'later'],
  [20 * SECOND, {}, 'later'],
  [DAY, {}, 'runTimedOut: too long'],
  [DAY, { runs: [{ status: 'unknown' }] }, 'runTimedOut: end not seen'],
  // No run has started: nothing listens, GitHub doesn't show the list, or the run isn't identified.
  [START - 1, NONE, 'later'],
  [START, NONE, 'startTimedOut: nothing listens'],
  [DAY - 1, { ...NONE, snapshot: { access: 'unavailable' } }, 'later'],
  [DAY, { ...NONE, snapshot: { access: 'unavailable' } }, 'runTimedOut: unknown'],
  [START, { ...NONE, snapshot: { readAt: BEGIN } }, 'later'],
  [START, { ...NONE, of: { whole: false } }, 'later'],
  [START, { ...NONE, snapshot: { ...REFUSED, refusedFor: MINUTE - 1 } }, 'later'],
  [START, { ...NONE, snapshot: REFUSED }, 'startTimedOut: not seen'],
  [START, { ...NONE, snapshot: REFUSED, run: { status: 'unknown' } }, 'later'],
  [3 * START, { ...NONE, of: { elsewhere: true } }, 'later'],
  [START, { ...NONE, of: candidates('completed', 'in_progress') }, 'later'],
  [START, { ...NONE, of: candidates('completed', 'completed') }, 'runUnidentified: unidentified'],
  // The runs have finished, also according to an earlier poll. The jobs of a failed run are read.
  [2 * MINUTE, { ...ENDED, delivery: { runs: [aRun({})] } }, 'later'],
  [2 * MINUTE, { ...ENDED, delivery: { updatedAt: BEGIN + 2 * MINUTE - 499 } }, 'later'],
  [2 * MINUTE, ENDED, 'runFinished success of 7'],
  [2 * MINUTE, { ...ENDED, port: 'not read' }, 'read Port'],
  [2 * MINUTE, FAILED, 'read jobs'],
  [2 * MINUTE, { ...FAILED, canReport: false }, 'runFinished failure of 7'],
  [2 * MINUTE, { ...FAILED, ...READ }, 'runFinished failure of 7'],
  [2 * MINUTE, { ...FAILED, jobs: BEGIN + 130 * SECOND }, 'later'],
  [2 * MINUTE, { ...FAILED, jobs: BEGIN + 3 * MINUTE }, 'runFinished failure of 7'],
  [2 * MINUTE, { ...FAILED, jobs: BEGIN + 130 * SECOND, ...seenAt(MINUTE) }, 'runFinished failure of 7'],
  [
    2 * MINUTE,
    { runs: [ended('neutral'), ended('failure', { id: 8 })], ...READ },
    'runFinished failure of 8',
  ],
  [
    2 * MINUTE,
    { runs: [ended('skipped'), ended('failure', { id: 8 })], ...READ },
    'runFinished failure of 8',
  ],
  [2 * MINUTE, { runs: [ended('skipped'), ended('success', { id: 8 })] }, 'runFinished success of 8'],
  [2 * MINUTE, { runs: [ended('failure'), { id: 8 }] }, 'later'],
  [2 * MINUTE, { runs: [ended('failure'), { id: 8, evidence: 'report' }] }, 'later'],
  [2 * MINUTE, { ...ENDED, of: { elsewhere: true } }, 'later'],
  [2 * MINUTE, { ...FAILED, ...READ, of: { elsewhere: true } }, 'runFinished failure of 7'],
  [2 * MINUTE, { ...UNREAD, finishedSince: BEGIN }, 'later'],
  [5 * MINUTE, { ...UNREAD, finishedSince: BEGIN }, 'runFinished success of 7'],
  // For at most a minute, a failure waits for a confirmation by the run itself or by a newer list that contains the run.
  [2 * MINUTE, { ...FAILED, ...READ, confirmed: 'not read' }, 'read runs'],
  [2 * MINUTE, { runs: [ended('skipped')], ...READ, confirmed: 'not read' }, 'read runs'],
  [2 * MINUTE, { ...ENDED, confirmed: 'not read' }, 'runFinished success of 7'],
  [2 * MINUTE, { ...UNCONFIRMED, ...seenAt(MINUTE) }, 'runFinished failure of 7'],
  [2 * MINUTE, UNCONFIRMED, 'later'],
  [
    2 * MINUTE,
    { ...UNCONFIRMED, delivery: { updatedAt: BEGIN + 2 * MINUTE - SECOND }, ...seenAt(MINUTE, 119) },
    'later',
  ],
  [2 * MINUTE, { ...UNCONFIRMED, finishedSince: BEGIN + MINUTE }, 'runFinished failure of 7'],
  [2 * MINUTE, { ...UNCONFIRMED, snapshot: REFUSED }, 'runFinished failure of 7'],
  // GitHub responds with 404 for the run.
  [START - 1, of404('response'), 'later'],
  [START, of404('response'), 'runDeleted: deleted'],
  ...(['report', 'title', 'candidate'] as const).flatMap((evidence): typeof STEPS => [
    [MINUTE - 1, of404(evidence), 'later'],
    [MINUTE, of404(evidence), 'runDeleted: deleted'],
  ]),
  [MINUTE, { runs: [{ evidence: 'port', status: 'unknown' }], snapshot: GONE }, 'later'],
  [MINUTE, { runs: [{}, { id: 8 }], snapshot: GONE }, 'later'],
  // The run in Port has a final status, from a user, from the action, or from the response to a synchronous webhook.
  [20 * SECOND, { runs: [REPORTED], run: IN_PORT }, 'cancelRequested'],
  [20 * SECOND, { runs: [{ evidence: 'report' }], run: IN_PORT }, 'finishedInPort failure'],
  [20 * SECOND, { runs: [REPORTED], run: SYNCHRONOUS }, 'later'],
  // GitHub refuses the list, or is down.
  ...[[REPORTED], []].flatMap((runs): typeof STEPS => {
    const seen = { runs, run: SYNCHRONOUS }
    const refused = { ...seen, snapshot: { access: 'forbidden' as const } }
    return [
      [START - 1, refused, 'later'],
      [START, { ...seen, snapshot: { access: 'unavailable' } }, 'later'],
      [START, refused, 'finishedInPort failure'],
    ]
  }),
  [20 * SECOND, { delivery: NODE, run: { cancelling: true } }, 'cancelRequested'],
  [20 * SECOND, { delivery: NODE, run: { finished: true, status: 'unknown' } }, 'finishedInPort unknown'],
  // Port is read when the read is due, but a new run is bound first.
  [MINUTE, { port: 'not read', portDue: true }, 'read Port'],
  [MINUTE, { runs: [{ evidence: 'report' }], port: 'not read', portDue: true }, 'later'],
  [MINUTE, { port: 'not read', snapshot: { access: 'forbidden' } }, 'read Port'],
  [2 * MINUTE, { ...FAILED, delivery: { runs: [] } }, 'later'],
  // Approvals.
  [MINUTE, WAITING, 'read approvals'],
  [MINUTE, { ...WAITING, approvals: 'read' }, 'later'],
  [MINUTE, { ...WAITING, delivery: { waitingFor: 'production' } }, 'later'],
  [MINUTE, { ...WAITING, approvals: 'due', delivery: { waitingFor: 'production' } }, 'read approvals'],
  [MINUTE, { delivery: { waitingFor: 'production' } }, 'read approvals'],
  // A canceled delivery.
  [MINUTE, { delivery: CANCEL }, 'cancel runs'],
  [MINUTE, { delivery: CANCEL, cancelTried: true }, 'later'],
  [2 * MINUTE, { ...ENDED, delivery: CANCEL }, 'runFinished success of 7'],
  // Whether a workflow listens.
  [30 * SECOND, { ...NONE, listeners: 'not read' }, 'read listeners'],
  [30 * SECOND - 1, { ...NONE, listeners: 'not read' }, 'later'],
  [30 * SECOND, { ...NONE, listeners: 'none' }, 'listenerMissing'],
  [30 * SECOND, { ...NONE, listeners: 'not read', wait: 'not read', delivery: { workflow: '1' } }, 'later'],
  [30 * SECOND, { ...NONE, listeners: 'not read', of: candidates('queued') }, 'later'],
  [30 * SECOND, { ...NONE, listeners: 'not read', delivery: { reason: 'none' } }, 'later'],
]
test.each(STEPS)('%i ms after the dispatch, with %j: %s', (after, seen, step) => {
  expect(poll(after, seen)).toBe(step)
})

test('the interval between polls grows with the time since the dispatch or cancellation', () => {
  const delivery = { queuedAt: BEGIN, dispatchedAt: BEGIN, cancelRequestedAt: null } as unknown as Delivery
  const at = (minutes: number, cancelRequestedAt: number | null = null) =>
    pollInterval({ ...delivery, cancelRequestedAt }, BEGIN + minutes * MINUTE) / SECOND
  expect([at(0), at(1), at(3), at(60)]).toEqual([3, 10, 15, 15])
  expect(at(60, BEGIN + 59 * MINUTE)).toBe(10)
})
