import type { Outcome } from '../github/errors.ts'
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

interface Context {
  github: { serverUrl: string }
  startTimeout: number
  runTimeout: number
}

/** The next state after GitHub's answer to a dispatch. Pure. */
export function afterAnswer(delivery: Delivery, outcome: Outcome, now: number, context: Context): Decision {
  switch (outcome.kind) {
    case 'accepted':
      return dispatched(delivery, now, context, 'GitHub accepted it')
    case 'never':
      return failed(delivery, outcome.reason, now, context)
    case 'unclear':
      return {
        change: {
          attempts: attempted(delivery, now, `${outcome.reason}; looking whether a run appears`),
          dueAt: now + nextLook(0, context),
        },
        reports: [],
      }
    case 'later': {
      const giveUpAt = delivery.queuedAt + context.runTimeout
      if (now >= giveUpAt) {
        return failed(
          delivery,
          `Gave up after ${hours(context.runTimeout)}: ${outcome.reason}.`,
          now,
          context,
        )
      }
      const tries = delivery.attempts.length
      const next = outcome.at ?? now + Math.min(MAX_WAIT_MS, 1000 * 2 ** tries)
      const dueAt = Math.min(next, giveUpAt)
      const { change, reports } = whileWaiting(delivery, outcome.reason, dueAt, now)
      return { change: { ...change, dueAt, sentAt: null }, reports }
    }
  }
}

/** What is written of a delivery that must wait; Port is told the first time, and not again. Pure. */
export function whileWaiting(delivery: Delivery, reason: string, until: number, now: number): Decision {
  const isTold = delivery.attempts.some(({ at }) => at >= delivery.queuedAt)
  return {
    change: { attempts: attempted(delivery, now, reason) },
    reports: isTold ? [] : [waitingWords(delivery, reason, until)],
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
  if (now - delivery.queuedAt > context.runTimeout) {
    const reason = `GitHub gave no clear answer for ${hours(context.runTimeout)}, and no workflow run was found in ${delivery.repository}.`
    return failed(delivery, reason, now, context)
  }
  const graceIsOver = now >= sentAt + grace(context)
  if (!graceIsOver || !evidence.looked) {
    const dueAt = graceIsOver ? now + 10_000 : sentAt + nextLook(now - sentAt, context)
    return { change: { dueAt }, reports: [] }
  }
  return {
    change: {
      attempts: attempted(delivery, now, 'No run appeared; sending again'),
      sentAt: null,
      dueAt: now,
    },
    reports: [],
  }
}

/** What Port's log says, once, of a delivery that must wait. */
function waitingWords(delivery: Delivery, reason: string, until: number): Report {
  const { repository, eventType } = delivery
  const message = `Waiting to dispatch "${eventType}" to ${repository}: ${reason}; next try at ${clockTime(until)}.`
  return { log: [{ level: 'WARN', message }] }
}

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

const attempted = ({ attempts }: Delivery, at: number, outcome: string): Attempt[] =>
  [...attempts, { at, outcome }].slice(-MAX_ATTEMPTS_KEPT)
const actionsPage = (serverUrl: string, repository: string) => `${serverUrl}/${repository}/actions`
const clockTime = (ms: number) => `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`
const hours = (ms: number) => (ms >= 36e5 ? `${Math.round(ms / 36e5)} h` : `${Math.round(ms / 6e4)} min`)
