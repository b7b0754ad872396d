import type { JsonObject } from '../../port/types.ts'
import type { RateLimitPause } from '../github/rate-limit-pause.ts'
import {
  type Change,
  type Delivery,
  type DeliveryRun,
  type Listed,
  type Message,
  RENEWED_MS,
  type Transition,
  type Wait,
  type WaitCause,
} from './delivery.ts'
import type { Context, Event } from './events.ts'
import { decisiveRuns } from './match.ts'
import { clockTime } from './outcome.ts'

/** If a delivery has been queued for this long, Port shows what the delivery waits for. */
export const NOTIFY_AFTER_MS = 30_000

/** Returns the earlier delivery that a delivery waits for. @param heads each repository's oldest queued delivery */
export function blockerOf(delivery: Listed, heads: ReadonlyMap<string, Listed>): Listed | null {
  const head = heads.get(delivery.repository)
  const isQueued = delivery.state === 'queued' && delivery.frozenBy === 0
  return isQueued && head && head.id !== delivery.id ? head : null
}

export function waitOf(delivery: Listed, pause: RateLimitPause | null, blocker: Listed | null): Wait {
  if (pause) return { cause: pause.cause, reason: pause.reason, until: pause.pausedUntil }
  if (blocker) return { cause: 'queue', blocker }
  const { awaitingResponseSince, dueAt, reason } = delivery
  if (awaitingResponseSince !== null) return { cause: 'error', reason: reason ?? UNRECORDED, until: null }
  if (reason !== null) return { cause: 'error', reason, until: dueAt }
  return { cause: 'rate', reason: OTHERS_FIRST, until: null }
}

/** Returns what the workflow runs wait for on GitHub; null while one of their jobs runs. */
export function waitOnGitHub(runs: readonly DeliveryRun[]): 'runner' | 'concurrency' | null {
  const open = runs.filter(run => !run.past && run.status !== 'completed')
  if (open.length === 0 || !open.every(({ status }) => QUEUED.includes(status))) return null
  return open.every(({ status }) => status === 'pending') ? 'concurrency' : 'runner'
}

const QUEUED = ['queued', 'pending']

/** A delivery, the earlier delivery that it waits for, and the text that describes the wait. */
export type Shown = Listed & { blocker: Listed | null; waits: string | null }

/** Describes a delivery's wait for the dashboard, the commands, and the API. @param ofPort Port's current problem, or an empty text */
export function toShown(
  delivery: Listed,
  pause: RateLimitPause | null,
  heads: ReadonlyMap<string, Listed>,
  now: number,
  ofPort = '',
): Shown {
  const blocker = blockerOf(delivery, heads)
  const dueAt = delivery.dueAt && Math.max(delivery.dueAt, pause?.pausedUntil ?? 0)
  return { ...delivery, dueAt, blocker, waits: waits() }

  function waits() {
    const { state, reason, waitingFor, runs, shownCause, shownReason, frozenBy } = delivery
    const hidden = shownCause === 'hidden' ? `${WAITS.hidden}: ${shownReason}` : null
    if (state === 'dispatched') return reason ?? hidden ?? 'Waiting for its workflow run'
    if (state === 'queued') {
      if (frozenBy > 0) return reason
      const { label, clause } = describeWait(delivery, waitOf(delivery, pause, blocker), now)
      // Without a reason, the delivery is new, or its dispatch is in progress.
      return pause || blocker || reason !== null ? clause : label
    }
    if (state !== 'running') return null
    if (hidden) return hidden
    if (waitingFor !== null) return `${WAITS.approval}: ${waitingFor}`
    const cause = waitOnGitHub(runs)
    const known = cause === shownCause ? shownReason : ''
    const behind = cause === 'concurrency' && known && ` behind ${known}`
    if (cause)
      return `${describeWait(delivery, { cause, reason: known, until: null }, now).label}${behind || ''}`
    const open = decisiveRuns(runs)
    if (open.length === 0 || open.some(run => run.status !== 'completed')) return null
    return `Waiting for Port: the workflow run has finished with ${open.map(run => run.conclusion).join(', ')}${ofPort && `. ${ofPort}`}`
  }
}

export const UNRECORDED = "GitHub's response wasn't recorded"
/** The reason why a due dispatch isn't sent yet. */
export const OTHERS_FIRST = 'RELAY_DISPATCH_RATE limits the rate of dispatches, or GitHub responds slowly'

/** The name of each wait in Port, on the dashboard, and in the commands. */
export const WAITS = {
  queue: 'Waiting for an earlier run of the repository',
  limit: "Waiting for GitHub's rate limit",
  credential: "Waiting until GitHub accepts the relay's credential",
  installation: "Waiting until GitHub accepts the relay's credential",
  error: 'Waiting for GitHub',
  rate: 'Waiting for other dispatches',
  frozen: 'Frozen',
  runner: 'Waiting for a runner',
  concurrency: 'Waiting in its concurrency group',
  hidden: "GitHub doesn't show the workflow run",
  approval: 'Waiting for approval',
} satisfies Record<WaitCause | 'approval', string>

function describeWait({ repository }: Listed, wait: Wait, now: number): { label: string; clause: string } {
  if (wait.cause === 'queue') {
    const label = `Waiting for an earlier run of ${repository}`
    return { label, clause: `${label}: ${wait.blocker.runId ?? wait.blocker.id}` }
  }
  const { cause, reason, until } = wait
  const name = WAITS[cause]
  const time = until === null ? '' : clockTime(until)
  switch (cause) {
    case 'limit': {
      const label = "Waiting for GitHub's rate limit until"
      return { label: `${label} ${time.slice(11, 16)} UTC`, clause: `${label} ${time}: ${reason}` }
    }
    case 'frozen':
      return {
        label: `${name}: ${reason}`,
        clause: `${name} until ${time || 'an operator unfreezes it'}: ${reason}`,
      }
    case 'runner':
      return {
        label: `${name}${reason && `: ${reason}`}`,
        clause: `${name}${reason && ` with the labels ${reason}`}: GitHub has queued the workflow run, and no runner has picked up its jobs`,
      }
    case 'concurrency':
      return {
        label: name,
        clause: `${name}${reason && ` behind ${reason}`}: another workflow run of the group is in progress on GitHub`,
      }
    case 'error': {
      const next =
        until === null ? '; searching for the workflow run' : until > now && `; next attempt at ${time}`
      return { label: name, clause: `${name}: ${reason}${next || ''}` }
    }
    default:
      return { label: name, clause: `${name}: ${reason}` }
  }
}

/** Describes for operators, for each repository, which workflow runs wait for a runner. @param found deliveries, longest wait first */
export function describeWithoutRunner(found: readonly Listed[]) {
  return [...Map.groupBy(found, each => each.repository)].map(([repository, all]) => {
    const [{ id, action, shownReason, shownAt: since }] = all as [Listed]
    const many =
      all.length === 1
        ? `1 workflow run of ${repository} has`
        : `${all.length} workflow runs of ${repository} have`
    const labels = shownReason && ` with the labels ${shownReason}`
    const text = `${many} waited for a runner${labels} since ${clockTime(since)} (${action ?? 'no action'}, delivery ${id}). Start a runner${labels && ' with these labels'}, update self-hosted runners, or correct runs-on.`
    return { key: repository, since, text }
  })
}

/**
 * Shows in Port what a delivery waits for. Does nothing if the delivery hasn't waited long enough, or if Port already
 * shows this cause. Logs each cause once.
 */
export function showWait(
  delivery: Delivery,
  wait: Wait,
  now: number,
): { change: Change; messages: Message[] } {
  const isShown = wait.cause === delivery.shownCause
  const shownReason = wait.cause === 'queue' ? '' : wait.reason
  const shownUntil = wait.cause === 'limit' ? (wait.until ?? 0) : 0
  const isEarly = wait.cause !== 'frozen' && now - delivery.queuedAt < NOTIFY_AFTER_MS
  if ((isShown && shownUntil <= delivery.shownUntil + RENEWED_MS) || isEarly)
    return { change: {}, messages: [] }
  const { label, clause } = describeWait(delivery, wait, now)
  const level = wait.cause === 'queue' || wait.cause === 'frozen' ? 'INFO' : 'WARN'
  return {
    change: { shownCause: wait.cause, shownReason, shownUntil, shownAt: now },
    messages: [
      ...(isShown ? [] : [{ log: [{ level, message: `${clause} (delivery ${delivery.id}).` } as const] }]),
      { update: { statusLabel: label }, unlessStarted: true },
    ],
  }
}

/** Before a delivery's first attempt, notifies Port that the delivery waits for another one, or for the end of a pause. */
export function notify(
  delivery: Delivery,
  { wait }: Event<'waitingNotified'>,
  { now }: Context,
): Transition | null {
  const shown = showWait(delivery, wait, now)
  if (shown.messages.length === 0) return null
  if (wait.cause === 'frozen') return { ...shown, history: null }
  const details: JsonObject =
    wait.cause === 'queue' ? { cause: wait.cause, blocked_by: wait.blocker.id } : { ...wait }
  return { ...shown, history: { type: 'waitingNotified', details } }
}
