import { expect, test } from 'vitest'
import type { RunState } from '../../port/types.ts'
import type { Delivery, DeliveryRun, Evidence } from '../../relay/delivery/delivery.ts'
import { judge, type Observation } from '../../relay/delivery/observation.ts'

const DISPATCHED_AT = 1_000_000
const START_TIMEOUT = 600_000
const POLICY = { startTimeout: START_TIMEOUT, runTimeout: 86_400_000, serverUrl: 'https://github.com' }

/** Looks at a bound run of which GitHub says that there is none, or at its run in Port as given. */
function poll(
  evidence: Evidence,
  after: number,
  runMore: Partial<DeliveryRun> = {},
  port: Partial<RunState> | null = null,
  more: Partial<Delivery> = {},
): string {
  const about = { id: 7, attempt: 1, evidence, past: false, status: 'queued', conclusion: null, url: '' }
  const run = { ...about, ...runMore }
  const delivery = {
    ...{ cancelRequestedAt: null, cancelSentAt: null, kind: 'action_run', ...more },
    ...{ state: 'running', runs: [run], receivedAt: DISPATCHED_AT, queuedAt: DISPATCHED_AT },
    dispatchedAt: DISPATCHED_AT,
  } as unknown as Delivery
  const now = DISPATCHED_AT + after
  const observation: Observation = {
    now,
    found: {
      runs: [run as DeliveryRun],
      candidates: [],
      snapshot: {
        ...{ access: 'read', reason: null, refusedFor: 0, runs: new Map(), gone: new Set(port ? [] : [7]) },
        ...{ readAt: now, covers: 0, nextAt: now },
      },
      whole: true,
      elsewhere: false,
    },
    port: {
      ...{ status: 'in_progress', ended: false, externalRunId: null },
      ...{ synchronized: false, properties: null, body: null },
      ...port,
    },
    ...{ portDue: false, portFreeAt: 0, finishedFor: 0 },
  }
  return judge(delivery, observation, POLICY).kind
}

test("a run that GitHub's answer named, and that GitHub does not show yet, is waited for until the start timeout", () => {
  expect(poll('response', 20_000)).toBe('look again')
  expect(poll('response', START_TIMEOUT - 1)).toBe('look again')
  expect(poll('response', START_TIMEOUT)).toBe('runDeleted')
})

test.each<Evidence>(['report', 'title', 'candidate'])(
  'a run that was seen before (%s) was deleted when GitHub shows it no more',
  evidence => {
    expect(poll(evidence, 59_999)).toBe('look again')
    expect(poll(evidence, 60_000)).toBe('runDeleted')
  },
)

test.each([
  [
    'of a run whose action reports its end through the relay is a cancellation',
    { reportsConclusion: true },
    {},
    'cancelled in Port',
  ],
  ['of a run whose end others report is theirs', {}, {}, 'ended in Port'],
  [
    'of a synchronous run came with the answer to its webhook',
    { reportsConclusion: true },
    { synchronized: true },
    'ended in Port',
  ],
])('an end in Port %s', (_, runMore, portMore, verdict) => {
  expect(poll('report', 20_000, runMore, { status: 'failure', ended: true, ...portMore })).toBe(verdict)
})

test('a node run is cancelled where Port is cancelling its workflow, and not where it is completed', () => {
  const node = { kind: 'node_run' as const }
  expect(poll('response', 20_000, {}, { cancelling: true }, node)).toBe('cancelled in Port')
  expect(poll('response', 20_000, {}, { ended: true }, node)).toBe('ended in Port')
})
