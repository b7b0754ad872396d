import { expect, test } from 'vitest'
import type { RunState } from '../../port/types.ts'
import type { Delivery, DeliveryRun, Evidence } from '../../relay/delivery/delivery.ts'
import { nextStep, type Observation } from '../../relay/delivery/observation.ts'

const DISPATCHED_AT = 1_000_000
const START_TIMEOUT = 600_000
const POLICY = {
  startTimeout: START_TIMEOUT,
  runTimeout: 86_400_000,
  serverUrl: 'https://github.com',
  timeoutsFrom: 0,
}

/**
 * Returns the event after a poll. GitHub returns 404 for the bound run unless a state of the Port run is given.
 *
 * @param evidence null if no run is known
 */
function poll(
  evidence: Evidence | null,
  after: number,
  runMore: Partial<DeliveryRun> = {},
  port: Partial<RunState> | null = null,
  more: Partial<Delivery> = {},
  access: Observation['found']['snapshot']['access'] = 'read',
): string {
  const about = { id: 7, attempt: 1, past: false, status: 'queued', conclusion: null, url: '' }
  const runs: DeliveryRun[] = evidence ? [{ ...about, evidence, ...runMore }] : []
  const delivery = {
    ...{ cancelRequestedAt: null, cancelSentAt: null, waitingFor: null, kind: 'action_run' },
    ...{ reported: null, finishingAt: null, runWebhook: false, ...more },
    ...{ state: 'running', runs, receivedAt: DISPATCHED_AT, queuedAt: DISPATCHED_AT },
    dispatchedAt: DISPATCHED_AT,
  } as unknown as Delivery
  const now = DISPATCHED_AT + after
  const observation: Observation = {
    now,
    found: {
      ...{ runs, candidates: [], whole: true, elsewhere: false },
      snapshot: {
        ...{ access, reason: null, refusedFor: 0, runs: new Map(), gone: new Set(port ? [] : [7]) },
        ...{ readAt: now, covers: 0, nextAt: now },
      },
    },
    port: {
      ...{ status: 'in_progress', finished: false, externalRunId: null },
      ...{ synchronized: false, properties: null, body: null },
      ...port,
    },
    ...{ portDue: false, portFreeAt: 0, finishedSince: null, clockOffset: 0, canReport: true },
    ...{ jobs: 'not read', workflows: 'not read', listeners: 'not read', approvals: 'not due' },
    cancelTried: false,
  }
  const step = nextStep(delivery, observation, POLICY)
  return step.do === 'apply' ? step.event.type : step.do
}

test('if GitHub responds with 404, the run from the dispatch response counts as deleted after the start timeout', () => {
  expect(poll('response', 20_000)).toBe('runsSeen')
  expect(poll('response', START_TIMEOUT - 1)).toBe('runsSeen')
  expect(poll('response', START_TIMEOUT)).toBe('runDeleted')
})

test.each<Evidence>(['report', 'title', 'candidate'])(
  'if GitHub responds with 404, a run that was seen before (%s) counts as deleted after a minute',
  evidence => {
    expect(poll(evidence, 59_999)).toBe('runsSeen')
    expect(poll(evidence, 60_000)).toBe('runDeleted')
  },
)

test.each(['report', null] as const)(
  'with evidence %s, the response of a synchronous run counts after the start timeout if GitHub refuses to show runs',
  evidence => {
    const after = (ms: number, access: 'forbidden' | 'unavailable') =>
      poll(evidence, ms, { reportsConclusion: true }, { finished: true, synchronized: true }, {}, access)
    expect(after(START_TIMEOUT - 1, 'forbidden')).toBe('runsSeen')
    expect(after(START_TIMEOUT, 'unavailable')).toBe('runsSeen')
    expect(after(START_TIMEOUT, 'forbidden')).toBe('finishedInPort')
  },
)

const REPORTS = { reportsConclusion: true }
test.each<[string, Partial<DeliveryRun>, Partial<RunState>, string]>([
  ['a cancellation if the action reports the conclusion through the relay', REPORTS, {}, 'cancelRequested'],
  ['the result of the run if the action reports to Port directly', {}, {}, 'finishedInPort'],
  ['nothing if the run is synchronous', REPORTS, { synchronized: true }, 'runsSeen'],
])('a final status in Port counts as %s', (_, runMore, portMore, verdict) => {
  expect(poll('report', 20_000, runMore, { status: 'failure', finished: true, ...portMore })).toBe(verdict)
})

test('cancels a node run while Port is canceling the Port workflow, unless the node run is completed', () => {
  const node = { kind: 'node_run' as const }
  expect(poll('response', 20_000, {}, { cancelling: true }, node)).toBe('cancelRequested')
  expect(poll('response', 20_000, {}, { finished: true }, node)).toBe('finishedInPort')
})
