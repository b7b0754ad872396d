import type { LogLine } from '../../port/types.ts'
import type { Approval, PendingDeployment } from '../github/approvals.ts'
import type { Delivery, Message, Transition } from './delivery.ts'
import type { Context, Event } from './events.ts'
import { boundRun } from './match.ts'
import { actionsPage, finishCancelled, names } from './outcome.ts'
import { WAITS } from './shown-wait.ts'

/** Cancels a queued delivery. If a dispatch has no response from GitHub, polls search for the workflow run and cancel it. */
export function requestWhileQueued(
  delivery: Delivery,
  { by }: Event<'cancelRequested'>,
  { now, policy }: Context,
): Transition {
  if (delivery.awaitingResponseSince === null) return finishCancelled(delivery, policy, by)
  const page = actionsPage(policy.serverUrl, delivery.repository)
  const reason = `GitHub's response to the dispatch is missing, so a workflow run may have started. The relay searches for the run to cancel it: ${page}`
  return {
    change: {
      ...{ state: 'dispatched', reason, dispatchedAt: delivery.attemptedAt, awaitingResponseSince: null },
      ...{ cancelRequestedAt: now, dueAt: now },
    },
    messages: [
      { log: [{ level: 'WARN', message: `A user canceled the delivery. ${reason}` }] },
      { update: { statusLabel: 'Canceling', link: [page] }, unlessStarted: true },
    ],
    history: { type: 'cancelRequested', details: { by } },
  }
}

/** Finishes a canceled delivery when a late response of GitHub shows that the dispatch started nothing. */
export function noteUnsent(
  delivery: Delivery,
  _: Event<'dispatchRejected' | 'dispatchDeferred'>,
  { policy }: Context,
): Transition | null {
  return delivery.cancelRequestedAt === null ? null : finishCancelled(delivery, policy)
}

/** Requests a cancellation. When a poll has found the delivery's workflow runs, the relay asks GitHub to cancel them. */
export function request(
  delivery: Delivery,
  { by }: Event<'cancelRequested'>,
  { now }: Context,
): Transition | null {
  if (delivery.cancelRequestedAt !== null) return null
  return {
    change: { cancelRequestedAt: now, cancelSentAt: null, cancelForced: false, dueAt: now },
    messages: [],
    history: { type: 'cancelRequested', details: { by } },
  }
}

export function noteSent(
  _delivery: Delivery,
  { forced, pollAt }: Event<'cancelSent'>,
  { now }: Context,
): Transition {
  const sentence = forced
    ? "The workflow run didn't stop within two minutes, so the relay asked GitHub to force the cancellation."
    : 'The relay asked GitHub to cancel the workflow run.'
  return {
    change: { cancelSentAt: now, cancelForced: forced, dueAt: pollAt },
    messages: [{ log: [{ level: 'INFO', message: sentence }] }],
    history: { type: 'cancelSent', details: { forced } },
  }
}

/** Records that GitHub doesn't allow the cancellation. The relay doesn't ask GitHub again, unless a user cancels again. */
export function noteRejected(
  _delivery: Delivery,
  { reason, pollAt }: Event<'cancelRejected'>,
  { now }: Context,
): Transition {
  const sentence = `The workflow run can't be canceled: ${reason}.`
  return {
    change: { cancelRequestedAt: null, cancelSentAt: now, dueAt: pollAt },
    messages: [{ log: [{ level: 'WARN', message: sentence }] }],
    history: { type: 'cancelRejected', details: { reason } },
  }
}

const MAX_DECISIONS = 100

/** Shows the pending approvals and the reviewers' decisions in Port. The history omits the reviewers' names. */
export function seeApproval(
  delivery: Delivery,
  { pending, decided }: Event<'approvalSeen'>,
): Transition | null {
  const waitingFor = pending.length === 0 ? null : pending.map(each => each.environment).join(', ')
  const known = new Set(delivery.decisions.split('\n'))
  const fresh = decided.filter(each => !keysOf(each).every(key => known.has(key)))
  const isNew = waitingFor !== delivery.waitingFor
  if (!isNew && fresh.length === 0) return null
  const lines = [
    ...fresh.map(describeDecision),
    ...(isNew && waitingFor ? [describeWaiting(pending, boundRun(delivery)?.url ?? '')] : []),
  ]
  const messages: Message[] = [{ log: lines }]
  if (isNew && waitingFor !== null)
    messages.push({ update: { statusLabel: `${WAITS.approval}: ${waitingFor}` } })
  // The action, if the workflow uses it, replaces this label later.
  else if (isNew) messages.push({ update: { statusLabel: 'Running' } })
  return {
    change: { waitingFor, decisions: [...known, ...fresh.flatMap(keysOf)].slice(-MAX_DECISIONS).join('\n') },
    messages: messages.filter(message => !('log' in message) || message.log.length > 0),
    history: {
      type: 'approvalSeen',
      details: {
        waiting_for: pending.map(each => each.environment),
        decided: fresh.map(({ environments, state }) => ({ environments, state })),
      },
    },
  }
}

const keysOf = ({ environments, state }: Approval) => environments.map(name => `${name}:${state}`)

function describeWaiting(pending: readonly PendingDeployment[], url: string): LogLine {
  const environments = pending.map(({ environment, reviewers, waitTimer }) => {
    const timer = waitTimer > 0 ? [`timer: ${waitTimer} min`] : []
    const who = reviewers.length > 0 ? `approval by one of: ${names(reviewers)}` : 'no reviewer is named'
    const conditions = reviewers.length > 0 || waitTimer === 0 ? [who, ...timer] : timer
    return `${environment} (${conditions.join('; ')})`
  })
  return { level: 'INFO', message: `The workflow run is waiting for ${environments.join(', ')}. ${url}` }
}

function describeDecision({ environments, state, by, comment }: Approval): LogLine {
  const what = `${names(environments)} was ${state}${by === null ? '' : ` by ${by}`}`
  return {
    level: state === 'rejected' ? 'WARN' : 'INFO',
    message: comment === '' ? `${what}.` : `${what}: ${comment}`,
  }
}
