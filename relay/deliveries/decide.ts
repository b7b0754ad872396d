import type { DispatchOutcome } from '../github/dispatch-outcome.ts'
import type { Attempt, Change, Delivery, Report } from '../store/delivery.ts'
import type { Evidence } from './find-run.ts'

/** What a step writes: the new state of a delivery, and the words for Port. */
export interface Decision {
  change: Change
  reports: Report[]
}

/** How long a dispatch without an answer may take to show as a run before it is sent again. */
const GRACE_MS = 30_000
/** After an unclear answer, when to look: soon, then less often, and a last time when the grace is over. */
const LOOKS_MS = [2_000, 5_000, 10_000, 20_000]
/** When the watch takes its first look at what GitHub accepted. */
const FIRST_WATCH_MS = 5_000
const MAX_WAIT_MS = 60_000
const MAX_ATTEMPTS_KEPT = 20
/** How attempts end after which it was, or was not, found out whether a run appeared. */
const LOOKING = '; looking whether a run appears'
const AGAIN = '; sending again'

interface Context {
  github: { serverUrl: string }
  startTimeout: number
  runTimeout: number
}

/** The next state after GitHub's answer to a dispatch. Pure. */
export function afterAnswer(
  delivery: Delivery,
  outcome: DispatchOutcome,
  now: number,
  context: Context,
): Decision {
  switch (outcome.kind) {
    case 'accepted':
      return dispatched(delivery, now, context, 'GitHub accepted it')
    case 'rejected':
      return failed(delivery, outcome.reason, now, context)
    case 'answer_lost': {
      const reason = outcome.reason + LOOKING
      const isTold = sinceQueued(delivery).some(attempt => attempt.outcome.endsWith(LOOKING))
      return {
        change: { attempts: attempted(delivery, now, reason), dueAt: now + nextLook(0, context) },
        reports: isTold ? [] : [waitingWords(delivery, reason)],
      }
    }
    case 'deferred': {
      const last = giveUpAt(delivery, now, context)
      if (now >= last) {
        const reason = `Gave up after ${hours(now - delivery.queuedAt)}: ${outcome.reason}.`
        return failed(delivery, reason, now, context)
      }
      const tries = delivery.attempts.length
      const next = outcome.until ?? now + Math.min(MAX_WAIT_MS, 1000 * 2 ** tries)
      const dueAt = Math.min(next, last)
      const { change, reports } = whileWaiting(delivery, outcome.reason, dueAt, now)
      return { change: { ...change, dueAt, sentAt: null }, reports }
    }
  }
}

/** What is written of a delivery that must wait; Port is told the first time, and not again. Pure. */
export function whileWaiting(delivery: Delivery, reason: string, until: number, now: number): Decision {
  const isTold = sinceQueued(delivery).some(
    ({ outcome }) => !outcome.endsWith(LOOKING) && !outcome.endsWith(AGAIN),
  )
  return {
    change: { attempts: attempted(delivery, now, reason) },
    reports: isTold ? [] : [waitingWords(delivery, `${reason}; next try at ${clockTime(until)}`)],
  }
}

/** The next state after looking for the run of a dispatch whose answer was lost. Pure. */
export function afterLook(delivery: Delivery, evidence: Evidence, now: number, context: Context): Decision {
  const sentAt = delivery.sentAt as number
  if (evidence.found) {
    const { change, reports } = dispatched(delivery, now, context, `Its run appeared: ${evidence.by}`)
    if (!evidence.reports) return { change, reports }
    return { change: { ...change, state: 'running', githubRunId: evidence.reports.githubRunId }, reports }
  }
  if (now < sentAt + grace(context)) {
    return { change: { dueAt: sentAt + nextLook(now - sentAt, context) }, reports: [] }
  }
  if (now >= giveUpAt(delivery, now, context)) {
    const tried = hours(now - (sinceQueued(delivery)[0]?.at ?? sentAt))
    const reason = `GitHub gave no clear answer for ${tried}, and no workflow run was found in ${delivery.repository}.`
    return failed(delivery, reason, now, context)
  }
  if (evidence.looked) return again(delivery, 'No run appeared', now)
  // Where the relay died before it could write, the time for which it is tried begins now.
  const unwritten = `GitHub's answer was not written down${LOOKING}`
  const next: Decision =
    sinceQueued(delivery).length > 0
      ? { change: { dueAt: now + 10_000 }, reports: [] }
      : {
          change: { dueAt: now + 10_000, attempts: attempted(delivery, now, unwritten) },
          reports: [waitingWords(delivery, unwritten)],
        }
  const { doubt } = evidence
  if (doubt === undefined) return next
  // What the relay does not see, the action or Port tells of by the time that a run may take to appear, if anybody does.
  const decideAt = sentAt + context.startTimeout
  const reason = `whether a run appeared cannot be seen, since ${doubt.reason}`
  const noted = sinceQueued(delivery).filter(({ outcome }) => outcome === reason)
  if (noted.some(({ at }) => at >= sentAt)) {
    if (now < decideAt) return next
    if (doubt.told) return again(delivery, `No run reported, and ${doubt.reason}`, now)
    const sentence = `GitHub gave no clear answer, and ${reason}. Redeliver it if none did.`
    return failed(delivery, sentence, now, context)
  }
  const plan = `${doubt.told ? 'next try' : 'given up'} at ${clockTime(decideAt)}`
  return {
    change: { ...next.change, attempts: attempted(delivery, now, reason) },
    reports: noted.length > 0 ? [] : [waitingWords(delivery, `${reason}; ${plan}`)],
  }
}

const again = (delivery: Delivery, reason: string, now: number): Decision => ({
  change: { attempts: attempted(delivery, now, reason + AGAIN), sentAt: null, dueAt: now },
  reports: [],
})

/** What Port's log says, once, of a delivery that must wait. */
function waitingWords({ repository, eventType }: Delivery, reason: string): Report {
  const message = `Waiting to dispatch "${eventType}" to ${repository}: ${reason}.`
  return { log: [{ level: 'WARN', message }] }
}

/**
 * Until when it is tried. One that was queued for long before its first try, behind others or while no relay ran,
 * is not given up for the first trouble that it meets.
 */
function giveUpAt(delivery: Delivery, now: number, { runTimeout, startTimeout }: Context): number {
  const begun = sinceQueued(delivery)[0]?.at ?? now
  return Math.max(delivery.queuedAt + runTimeout, begun + Math.min(startTimeout, runTimeout))
}

const sinceQueued = ({ attempts, queuedAt }: Delivery): Attempt[] =>
  attempts.filter(({ at }) => at >= queuedAt)

/** Never longer than a workflow may take to appear at all. */
const grace = ({ startTimeout }: Context): number => Math.min(GRACE_MS, startTimeout)

/** When to look next, after so long; both from when it was sent. */
const nextLook = (after: number, context: Context): number =>
  Math.min(LOOKS_MS.find(look => look > after) ?? GRACE_MS, grace(context))

function dispatched(
  delivery: Delivery,
  now: number,
  { github, startTimeout }: Context,
  outcome: string,
): Decision {
  const { repository, eventType } = delivery
  return {
    change: {
      state: 'dispatched',
      attempts: attempted(delivery, now, outcome),
      dispatchedAt: now,
      dueAt: now + Math.min(FIRST_WATCH_MS, startTimeout),
    },
    reports: [
      {
        update: { statusLabel: 'Waiting for GitHub', link: [actionsPage(github.serverUrl, repository)] },
        unlessStarted: true,
      },
      {
        log: [
          {
            level: 'INFO',
            message: `Dispatched "${eventType}" to ${repository}; waiting for its workflow to start.`,
          },
        ],
      },
    ],
  }
}

function failed(delivery: Delivery, reason: string, now: number, { github }: Context): Decision {
  return {
    change: {
      state: 'failed',
      reason,
      attempts: attempted(delivery, now, reason),
      dueAt: null,
      sentAt: null,
    },
    reports: [
      { log: [{ level: 'ERROR', message: reason }] },
      {
        update: {
          conclusion: 'failure',
          statusLabel: 'Not started',
          summary: reason,
          link: [actionsPage(github.serverUrl, delivery.repository)],
        },
      },
    ],
  }
}

/** The last ones, and the first since it was queued: by that it is given up. */
function attempted(delivery: Delivery, at: number, outcome: string): Attempt[] {
  const [first] = sinceQueued(delivery)
  const last = [...delivery.attempts, { at, outcome }].slice(-MAX_ATTEMPTS_KEPT)
  return first && !last.includes(first) ? [first, ...last.slice(1)] : last
}

const actionsPage = (serverUrl: string, repository: string) => `${serverUrl}/${repository}/actions`
const clockTime = (ms: number) => `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`
const hours = (ms: number) => (ms >= 36e5 ? `${Math.round(ms / 36e5)} h` : `${Math.round(ms / 6e4)} min`)
