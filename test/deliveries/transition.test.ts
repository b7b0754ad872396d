import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  type Delivery,
  type DeliveryRun,
  type Message,
  type Outcome,
  STATES,
  type State,
} from '../../relay/delivery/delivery.ts'
import type { DeliveryEvent, EventType, NoRun } from '../../relay/delivery/events.ts'
import { HISTORY } from '../../relay/delivery/history.ts'
import { LOST_RESPONSE_GRACE_MS } from '../../relay/delivery/retry-policy.ts'
import { toShown } from '../../relay/delivery/shown-wait.ts'
import { transition } from '../../relay/delivery/transition.ts'
import { withoutJitter } from '../support/without-jitter.ts'

withoutJitter()

const NOW = 1_800_000_000_000
const MINUTE = 60_000
const POLICY = {
  startTimeout: 10 * MINUTE,
  runTimeout: 1_440 * MINUTE,
  serverUrl: 'https://github.com',
  timeoutsFrom: 0,
}

const run = (more: Partial<DeliveryRun> = {}): DeliveryRun => ({
  ...{ id: 7, attempt: 1, evidence: 'title', past: false, status: 'in_progress', conclusion: null },
  url: 'https://github.com/acme/shop/actions/runs/7',
  ...more,
})

/** Creates a delivery in a state, with the fields that its previous transitions set. */
const inState = (state: State, more: Partial<Delivery> = {}): Delivery => {
  const isDispatched = state === 'dispatched' || state === 'running'
  return {
    ...{ seq: 1, id: 'd-1', dedupeKey: 'run:r_1', runId: 'r_1', kind: 'action_run', action: 'deploy' },
    ...{ repository: 'acme/shop', eventType: 'deploy', workflow: null, ref: null },
    ...{ state, outcome: '', reason: state === 'failed' ? 'It failed.' : null, version: 3, attempts: 1 },
    ...{ receivedAt: NOW - MINUTE, queuedAt: NOW - MINUTE, updatedAt: NOW - MINUTE },
    dueAt: ['finished', 'failed', 'cancelled'].includes(state) ? null : NOW,
    ...{
      firstAttemptAt: NOW - 1_000,
      attemptedAt: NOW - 1_000,
      shownCause: '',
      shownUntil: 0,
      shownReason: '',
      shownAt: 0,
    },
    awaitingResponseSince: state === 'queued' ? NOW - 1_000 : null,
    dispatchedAt: isDispatched ? NOW - 500 : null,
    ...{ cancelRequestedAt: null, cancelSentAt: null, cancelForced: false },
    ...{
      waitingFor: null,
      decisions: '',
      outputs: '',
      reported: null,
      rejected: null,
      finishingAt: null,
      runWebhook: false,
    },
    rerunAt: null,
    runs: state === 'running' ? [run()] : [],
    ...more,
  } as Delivery
}

const attemptedAt = NOW - 1_000
const LIMIT = { cause: 'limit', reason: 'a limit', until: NOW + MINUTE } as const
const RERUN = 'requested again'
const ENDED = run({ status: 'completed', conclusion: 'success' })
const cause: NoRun = { why: 'deleted' }
const EVENTS: { [T in EventType]: Extract<DeliveryEvent, { type: T }> } = {
  dispatchAccepted: { type: 'dispatchAccepted', attemptedAt, run: null },
  dispatchRejected: { type: 'dispatchRejected', attemptedAt, reason: "GitHub can't find acme/shop." },
  dispatchDeferred: { ...LIMIT, type: 'dispatchDeferred', attemptedAt },
  responseLost: { type: 'responseLost', attemptedAt, reason: '502' },
  runNotFound: { type: 'runNotFound', list: 'empty', readAt: NOW, reason: 'no run appeared' },
  runsSeen: { type: 'runsSeen', runs: [run({ status: 'queued' })], pollAt: NOW + 5_000 },
  runReported: { type: 'runReported', run: run({ evidence: 'report' }) },
  jobFinished: {
    ...{ type: 'jobFinished', runId: 7 },
    job: { id: 1, conclusion: 'success', startedAt: NOW, finishedAt: NOW },
  },
  reportReceived: {
    type: 'reportReceived',
    messages: [{ update: { conclusion: 'success' } }],
    ...{ attempt: 1, ending: true },
  },
  entityRejected: { type: 'entityRejected', attempt: 1, entity: 'service "shop"', blueprint: 'service' },
  rerunRequested: { type: 'rerunRequested', run: run(), lost: [] },
  runFinished: { type: 'runFinished', run: ENDED, runs: [ENDED], found: null },
  finishedInPort: { type: 'finishedInPort', runs: [] },
  listenerMissing: { type: 'listenerMissing', listeners: 'none', pollAt: NOW + 1 },
  startTimedOut: { type: 'startTimedOut', cause: { why: 'nothing listens' } },
  runTimedOut: { type: 'runTimedOut', cause: { why: 'too long', runTimeout: 1, status: 'queued' } },
  runUnidentified: { type: 'runUnidentified', cause: { why: 'unidentified', amount: 2 } },
  runDeleted: { type: 'runDeleted', cause },
  runHidden: { type: 'runHidden', cause },
  waitingNotified: { type: 'waitingNotified', wait: LIMIT },
  frozen: { type: 'frozen', freeze: { id: 1, reason: 'no deploys' } },
  unfrozen: { type: 'unfrozen', freeze: { id: 1, reason: 'no deploys' } },
  redelivered: { type: 'redelivered' },
  cancelRequested: { type: 'cancelRequested', by: 'port' },
  cancelSent: { type: 'cancelSent', forced: false, pollAt: NOW + 3_000 },
  cancelRejected: { type: 'cancelRejected', reason: 'it may not', pollAt: NOW + 3_000 },
  approvalSeen: {
    type: 'approvalSeen',
    ...{ pending: [{ environment: 'production', waitTimer: 0, reviewers: ['ada'] }], decided: [] },
  },
}

/** The changed fields, then what Port gets: a line's level, or a conclusion and a label. */
type Effect = [Partial<Delivery>, ...string[]]
const SENTENCE = expect.stringMatching(/^[A-Z\d].*\.$/)
const NO_RESPONSE = { awaitingResponseSince: null }
const accepted = (dispatchedAt: number): Effect => [{ dispatchedAt, ...NO_RESPONSE }]
const bound = (dispatchedAt: number, more: Partial<DeliveryRun>): Partial<Delivery> => ({
  ...{ state: 'running', dispatchedAt, ...NO_RESPONSE, dueAt: NOW + 5_000, runs: [run(more)] },
})
const finished = (outcome: Outcome) => ({ state: 'finished', outcome, reason: null, dueAt: null }) as const
const UNKNOWN = { ...finished('unknown'), ...NO_RESPONSE, reason: expect.stringContaining('a user ended it') }
const failed = (outcome: Outcome, label: string, more: Partial<Delivery> = {}): Effect => [
  { state: 'failed', outcome, reason: SENTENCE, dueAt: null, ...more },
  ...['ERROR', `failure ${label}`],
]
const BY_LIMIT = {
  shownCause: 'limit',
  shownReason: 'a limit',
  shownUntil: NOW + MINUTE,
  shownAt: NOW,
} as const
const BY_ERROR = { shownCause: 'error', shownUntil: 0, shownAt: NOW } as const
const LIMITED = ['WARN', "Waiting for GitHub's rate limit until 08:01 UTC"]
const REDELIVERED: Partial<Delivery> = {
  ...{ state: 'queued', queuedAt: NOW, dueAt: NOW, outcome: '', reason: null, attempts: 0, runs: [] },
  ...{ firstAttemptAt: null, attemptedAt: null, ...NO_RESPONSE, dispatchedAt: null, finishingAt: null },
  ...{ shownCause: '', shownUntil: 0, frozenBy: 0, unfrozenAt: null, waitingFor: null, decisions: '' },
  ...{ cancelRequestedAt: null, cancelSentAt: null, cancelForced: false, rerunAt: null, outputs: '' },
  ...{ runWebhook: false, reported: null, rejected: null },
}
const CANCEL = { cancelRequestedAt: NOW, cancelSentAt: null, cancelForced: false, dueAt: NOW }
const MAY_RUN = { reason: expect.stringContaining('may have started'), dispatchedAt: attemptedAt }

/** The effect of each event in each state. In an omitted state, the event has no effect. */
const TABLE: { [T in EventType]: { [S in State]?: Effect } } = {
  dispatchAccepted: {
    queued: [{ state: 'dispatched', ...accepted(NOW)[0], dueAt: NOW + 5_000 }, 'Waiting for GitHub', 'INFO'],
    ...{ dispatched: accepted(NOW - 500), running: accepted(NOW - 500) },
    ...{ finished: accepted(NOW), failed: accepted(NOW), cancelled: accepted(NOW) },
  },
  dispatchRejected: { queued: failed('not_started', 'Not started', NO_RESPONSE) },
  dispatchDeferred: {
    queued: [{ ...BY_LIMIT, ...NO_RESPONSE, reason: 'a limit', dueAt: NOW + MINUTE }, ...LIMITED],
  },
  responseLost: {
    queued: [
      { ...BY_ERROR, reason: '502', shownReason: '502', awaitingResponseSince: NOW, dueAt: NOW + 2_000 },
      ...['WARN', 'Waiting for GitHub'],
    ],
  },
  runNotFound: {
    queued: [
      { ...BY_ERROR, shownReason: "GitHub's response wasn't recorded", dueAt: NOW + 1_000 },
      ...['WARN', 'Waiting for GitHub'],
    ],
  },
  runsSeen: {
    queued: [bound(attemptedAt, { status: 'queued' }), 'link'],
    dispatched: [bound(NOW - 500, { status: 'queued' }), 'link'],
    running: [{ runs: [run({ status: 'queued' })], dueAt: NOW + 5_000 }],
  },
  runReported: {
    queued: [bound(attemptedAt, { evidence: 'report' })],
    dispatched: [bound(NOW - 500, { evidence: 'report' })],
    running: [bound(NOW - 500, { evidence: 'report' })],
  },
  jobFinished: { running: [{}], finished: [{}], failed: [{}], cancelled: [{}] },
  reportReceived: { running: [{ ...finished('succeeded'), finishingAt: NOW }, 'success'] },
  entityRejected: { running: [{ rejected: { attempt: 1, entity: 'service "shop"' } }] },
  rerunRequested: {
    running: [
      { rerunAt: NOW, dueAt: NOW + 5_000, reason: SENTENCE, runs: [run({ attempt: 2, status: RERUN })] },
      ...['WARN', 'Runner lost, running again'],
    ],
  },
  runFinished: { running: [{ ...finished('succeeded'), runs: [ENDED] }, 'INFO', 'success Succeeded'] },
  finishedInPort: {
    ...{ queued: [{ ...UNKNOWN, runs: [] }], dispatched: [{ ...UNKNOWN, runs: [] }] },
    running: [{ ...UNKNOWN, runs: [run()] }],
  },
  listenerMissing: { dispatched: [{ reason: SENTENCE, dueAt: NOW + 1 }, 'WARN'] },
  startTimedOut: { dispatched: failed('not_started', 'Not started') },
  runTimedOut: {
    dispatched: failed('unknown', 'Not followed further'),
    running: failed('unknown', 'Not followed further'),
  },
  runUnidentified: { dispatched: failed('unknown', 'Not identified') },
  runDeleted: { running: failed('unknown', 'Deleted') },
  runHidden: { running: failed('unknown', 'Deleted') },
  waitingNotified: { queued: [BY_LIMIT, ...LIMITED] },
  // The dispatch of the queued delivery has no response yet, and the delivery isn't frozen.
  frozen: {},
  unfrozen: {},
  redelivered: { failed: [REDELIVERED], cancelled: [REDELIVERED] },
  cancelRequested: {
    queued: [
      { state: 'dispatched', ...MAY_RUN, ...NO_RESPONSE, cancelRequestedAt: NOW, dueAt: NOW },
      ...['WARN', 'Canceling'],
    ],
    ...{ dispatched: [CANCEL], running: [CANCEL] },
  },
  cancelSent: { running: [{ cancelSentAt: NOW, cancelForced: false, dueAt: NOW + 3_000 }, 'INFO'] },
  cancelRejected: { running: [{ cancelRequestedAt: null, cancelSentAt: NOW, dueAt: NOW + 3_000 }, 'WARN'] },
  approvalSeen: {
    running: [{ waitingFor: 'production', decisions: '' }, 'INFO', 'Waiting for approval: production'],
  },
}

const told = (message: Message): string => {
  if ('log' in message) return message.log.map(({ level }) => level).join()
  if ('entity' in message) return 'entity'
  const { conclusion, statusLabel } = message.update
  return [conclusion, statusLabel].filter(Boolean).join(' ') || 'link'
}

describe.each(Object.keys(EVENTS) as EventType[])('the event %s', type => {
  test.each(STATES)('has the effect in the table on a delivery in state %s', state => {
    const delivery = inState(state)
    const before = structuredClone(delivery)
    const next = transition(delivery, EVENTS[type], NOW, POLICY)
    const [change, ...messages] = TABLE[type][state] ?? []
    expect(next?.change).toEqual(change)
    expect(next?.messages.map(told) ?? []).toEqual(messages)
    expect(delivery, 'transition() is pure').toEqual(before)
    if (next?.change.state && next.change.state !== state) {
      const entry = type === 'runsSeen' ? 'runBound' : type
      expect(next.history?.type, 'a change of state is in the history').toBe(entry)
    }
  })
})

test("if a link in GitHub's response leads elsewhere, the relay's own link replaces it", () => {
  const link = 'https://github.com/acme/shop/actions/runs/7'
  for (const url of ['javascript:alert(1)', 'https://github.com.evil.example/acme', '']) {
    const accepted = { type: 'dispatchAccepted', attemptedAt, run: { id: 7, url } } as const
    for (const next of [
      transition(inState('queued'), accepted, NOW, POLICY),
      transition(
        inState('dispatched'),
        { ...EVENTS.runsSeen, runs: [run({ url })] } as DeliveryEvent,
        NOW,
        POLICY,
      ),
    ]) {
      expect(next?.change.runs).toMatchObject([{ url: link }])
      expect(next?.messages).toContainEqual(
        expect.objectContaining({ update: expect.objectContaining({ link: [link] }) }),
      )
    }
  }
})

describe('a dispatch', () => {
  const deferred = { ...EVENTS.dispatchDeferred, until: null }

  test('is retried after 1 s if the delivery was redelivered after 8 attempts', () => {
    const failed = inState('failed', { attempts: 8 })
    const redelivered = transition(failed, { type: 'redelivered' }, NOW, POLICY)
    const queued = { ...failed, ...redelivered?.change } as Delivery
    const underWay = { ...queued, attempts: queued.attempts + 1, attemptedAt: NOW }
    expect(transition(underWay, { ...deferred, attemptedAt: NOW }, NOW, POLICY)?.change.dueAt).toBe(
      NOW + 1_000,
    )
  })

  test('waits twice as long after each attempt, up to a minute', () => {
    const waits = [1, 2, 3, 4, 5, 6, 7, 8, 20].map(attempts => {
      const next = transition(inState('queued', { attempts }), deferred, NOW, POLICY)
      return ((next?.change.dueAt ?? 0) - NOW) / 1_000
    })
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60])
  })

  test('shows no time of the next attempt if GitHub rejects the credential', () => {
    const shown = (cause: 'error' | 'credential') =>
      transition(inState('queued'), { ...deferred, cause }, NOW, POLICY)?.history?.details.until
    expect([shown('error'), shown('credential')]).toEqual([expect.any(Number), null])
    const failed = inState('queued', { reason: 'an error', awaitingResponseSince: null })
    const text = (dueAt: number) => toShown({ ...failed, dueAt }, null, new Map(), NOW).waits
    expect(text(NOW), 'the pause has just ended').toBe('Waiting for GitHub: an error')
    expect(text(NOW + 1)).toMatch(/^Waiting for GitHub: an error; next attempt at 2/)
  })

  test.each(['dispatchAccepted', 'dispatchRejected', 'dispatchDeferred', 'responseLost'] as const)(
    'ignores %s from an earlier attempt, even from before a redelivery',
    type => {
      const event = { ...EVENTS[type], attemptedAt: NOW - MINUTE }
      for (const state of STATES) expect(transition(inState(state), event, NOW, POLICY)).toBeNull()
    },
  )

  test.each(['empty', 'ambiguous', 'forbidden', 'unavailable'] as const)(
    'without a response sends one warning to Port, even if the reason changes, and is then retried or fails (%s)',
    list => {
      let delivery = inState('queued', { attempts: 1, awaitingResponseSince: NOW, firstAttemptAt: NOW })
      let warnings = 0
      let now = NOW
      for (let poll = 0; poll < 10_000 && delivery.state === 'queued'; poll++) {
        const event = { ...EVENTS.runNotFound, list, readAt: now, reason: `reason ${poll}` }
        const next = transition(delivery, event, now, POLICY)
        warnings += next?.messages.filter(each => 'log' in each && each.log[0]?.level === 'WARN').length ?? 0
        delivery = { ...delivery, ...next?.change } as Delivery
        if (delivery.awaitingResponseSince === null) break
        expect(delivery.dueAt ?? 0, 'the next poll is later').toBeGreaterThan(now)
        now = delivery.dueAt ?? now
      }
      expect(warnings).toBe(1)
      const decided =
        list === 'empty' ? { state: 'queued', outcome: '' } : { state: 'failed', outcome: 'unknown' }
      expect(delivery).toMatchObject(decided)
      const { startTimeout, runTimeout } = POLICY
      const after = { empty: LOST_RESPONSE_GRACE_MS, ambiguous: startTimeout, forbidden: startTimeout }
      expect(now - NOW).toBe(list === 'unavailable' ? runTimeout - MINUTE : after[list])
    },
  )

  test('is not sent again if the list of runs was read before the end of the grace period', () => {
    const since = NOW - LOST_RESPONSE_GRACE_MS
    const delivery = inState('queued', { attempts: 1, awaitingResponseSince: since, firstAttemptAt: since })
    const changeAt = (readAt: number) =>
      transition(delivery, { ...EVENTS.runNotFound, list: 'empty', readAt }, NOW, POLICY)?.change
    expect(changeAt(NOW - 1)).not.toHaveProperty('awaitingResponseSince')
    expect(changeAt(NOW)).toMatchObject({ awaitingResponseSince: null, dueAt: NOW })
  })

  test('keeps the label in Port unless the rate limit ends more than a minute later than the label shows', () => {
    const shown = { shownCause: 'limit', shownUntil: NOW + MINUTE } as const
    const delivery = inState('queued', { queuedAt: NOW - MINUTE, ...shown })
    const notified = (until: number) =>
      transition(delivery, { type: 'waitingNotified', wait: { ...LIMIT, until } }, NOW, POLICY)?.messages ??
      []
    expect(notified(NOW + 2 * MINUTE)).toEqual([])
    expect(notified(NOW + 2 * MINUTE + 1)).toEqual([
      { update: { statusLabel: expect.any(String) }, unlessStarted: true },
    ])
  })

  test('whose run never appears is retried until RELAY_RUN_TIMEOUT, and once more if no relay was running at that time', () => {
    const since = NOW - POLICY.runTimeout
    const event = { ...EVENTS.runNotFound, list: 'empty', readAt: NOW } as const
    const retried = (attempts: number) => {
      const times = { queuedAt: since, firstAttemptAt: since - MINUTE, awaitingResponseSince: since }
      const delivery = inState('queued', { attempts, ...times })
      return transition(delivery, event, NOW, POLICY)?.change
    }
    expect(retried(1)).toEqual({ awaitingResponseSince: null, dueAt: NOW })
    expect(retried(2)).toMatchObject({
      state: 'failed',
      reason:
        'The outcome of the dispatch stayed unknown for 24 h 1 min, and no workflow run was found in acme/shop.',
    })
  })

  test('fails if GitHub still rate limits the relay after RELAY_RUN_TIMEOUT', () => {
    const queuedAt = NOW - POLICY.runTimeout
    const first = NOW - POLICY.startTimeout
    const limited = (firstAttemptAt: number) =>
      transition(inState('queued', { queuedAt, firstAttemptAt }), EVENTS.dispatchDeferred, NOW, POLICY)
        ?.change
    expect(limited(first + 1)?.state).toBeUndefined()
    expect(limited(first)).toMatchObject({ state: 'failed', reason: expect.stringMatching('24 h: a limit') })
  })
})

test.each([
  ['none', 'to a workflow, or correct the event type.'],
  ['no files', 'the repository has no workflows'],
  [{ disabled: 'a.yml' }, 'Workflow a.yml in acme/shop listens to repository_dispatch type deploy, but '],
] as const)('warns before the start timeout that nothing listens (workflow files: %s)', (listeners, part) => {
  const { messages } =
    transition(inState('dispatched'), { ...EVENTS.listenerMissing, listeners }, NOW, POLICY) ?? {}
  expect(messages).toEqual([{ log: [{ level: 'WARN', message: expect.stringContaining(part) }] }])
})

test('a run that appears late removes the warning that nothing listens, and a late response adds no second run', () => {
  const waiting = inState('dispatched', { reason: 'No workflow listens.' })
  expect(transition(waiting, EVENTS.runsSeen, NOW, POLICY)?.change).toMatchObject({ reason: null })
  const late = { ...EVENTS.dispatchAccepted, run: { id: 7, url: '' } }
  expect(transition(inState('running'), late, NOW, POLICY)?.change.runs).toBeUndefined()
})

test("whenever a delivery ends, its history has the conclusion that Port gets, or GitHub's conclusion", () => {
  const job = { job: 'deploy', conclusion: 'success', author: 'success' } as const
  const reported = { attempt: 1, jobs: [job], summary: null, links: [] }
  const hidden = { ...EVENTS.runHidden, cause: { why: 'end not seen', runTimeout: 1, reason: '' } } as const
  const timedOut = run({ status: 'completed', conclusion: 'timed_out' })
  const ends: [Delivery, DeliveryEvent][] = [
    ...STATES.flatMap(state =>
      Object.values(EVENTS).map((event): [Delivery, DeliveryEvent] => [inState(state), event]),
    ),
    [inState('running', { reported }), hidden],
    [inState('running'), { ...EVENTS.runFinished, run: timedOut, runs: [timedOut] }],
  ]
  const shown = new Set<string>()
  for (const [delivery, event] of ends) {
    const next = transition(delivery, event, NOW, POLICY)
    const sent = next?.messages.findLast(each => 'update' in each && each.update.conclusion)
    if (!sent || !('update' in sent)) continue
    shown.add(`${event.type}: ${sent.update.conclusion}, ${next?.history?.details.conclusion}`)
  }
  expect([...shown].filter(each => !/: (\w+), \1$/.test(each))).toEqual(['runFinished: failure, timed_out'])
  expect([...shown]).toContain('runHidden: success, success')
})

const inPort = (conclusion: string, ofRun: string | null): DeliveryEvent => ({
  ...{ type: 'finishedInPort', conclusion, runs: [run({ conclusion: ofRun })] },
})
const reported = (conclusion: 'success' | 'failure' | 'cancelled'): DeliveryEvent => ({
  ...EVENTS.reportReceived,
  messages: [{ update: { conclusion } }],
})
test.each<[string, DeliveryEvent, string]>([
  ['finished in Port', inPort('success', null), 'succeeded'],
  ['finished in Port', inPort('unknown', 'success'), 'succeeded'],
  ['finished in Port', inPort('failure', null), 'failed'],
  ['finished in Port', inPort('failure', 'success'), 'failed'],
  ['finished in Port', inPort('cancelled', null), 'cancelled'],
  ['finished in Port', inPort('failure', 'cancelled'), 'cancelled'],
  ['finished in Port', inPort('unknown', null), 'unknown'],
  ['whose only job reported', reported('success'), 'succeeded'],
  ['whose only job reported', reported('failure'), 'failed'],
  ['whose only job reported', reported('cancelled'), 'cancelled'],
])('a delivery %s (%j) is %s', (_, event, outcome) => {
  expect(transition(inState('running'), event, NOW, POLICY)?.change.outcome).toBe(outcome)
})

const RELAY = join(import.meta.dirname, '../../relay')

/** Returns the relay's files whose text without comments matches the pattern. */
const filesWith = (pattern: RegExp) =>
  readdirSync(RELAY, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .filter(name => {
      const text = readFileSync(join(RELAY, name), 'utf8')
      return pattern.test(text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, ''))
    })
    .sort()

test('only one file applies changes to deliveries, and it gets every change from transition()', () => {
  // The store's tests check that no method except `apply` changes what transition() decides.
  expect(filesWith(/\b(store|tally)\.apply\b|\{[^{}]*\bapply\b[^{}]*\} = \S*store\b/)).toEqual([
    'workers/apply.ts',
  ])
  expect(filesWith(/\bimport \{ transition \}/)).toEqual(['workers/apply.ts'])
})

test.each<[NoRun, RegExp]>([
  [{ why: 'nothing listens' }, /Check that the workflow file has "workflow_dispatch:"/],
  [
    { why: 'not seen', reason: 'GitHub refuses', startTimeout: MINUTE },
    /The relay can't read the repository's workflow runs: GitHub refuses/,
  ],
  [
    { why: 'unidentified', amount: 2 },
    /set its run-name to \$\{\{ fromJSON\(inputs\.port \|\| '\{\}'\)\.run_id \}\}/,
  ],
])('the reason names the workflow of a workflow_dispatch whose run is missing: %j', (cause, hint) => {
  const delivery = inState('dispatched', { eventType: null, workflow: 'release.yml', ref: 'next' })
  const { state, reason } = transition(delivery, { type: 'startTimedOut', cause }, NOW, POLICY)!.change
  expect(state).toBe('failed')
  expect(reason).toContain('workflow release.yml to acme/shop on next')
  expect(reason).toMatch(hint)
})

test('the documentation lists every type of history entry', () => {
  const page = readFileSync(join(RELAY, '../docs/deliveries.md'), 'utf8')
  const [, section = ''] = page.split(/^## History$/m)
  const listed = [...section.split(/^## /m)[0]!.matchAll(/^\| `(\w+)` /gm)].map(([, type]) => type!)
  expect(listed.sort()).toEqual(['accepted', ...Object.keys(HISTORY)].sort())
})
