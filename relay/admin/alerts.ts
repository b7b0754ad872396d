import { randomUUID } from 'node:crypto'
import type { Config } from '../config/config.ts'
import { describeStalled, describeWithoutRunner } from '../delivery/waiting.ts'
import { describeRefused, type Refusals } from '../http/refusals.ts'
import type { ThrottledLog } from '../log.ts'
import type { RouteDeps } from '../route-deps.ts'
import type { AlertState, KnownProblem } from '../store/store.ts'
import { amount } from './dashboard/format.ts'
import { sendAlert } from './send-alert.ts'
import { plainText, SIDES, type Sides } from './sides.ts'

type Problem = Pick<KnownProblem, 'type' | 'side' | 'key' | 'text'> & { since?: number }

export const ALERTS_MS = 10_000
/** The duration of the lease. If a relay doesn't renew its lease, another relay sends alerts. */
const LEASE_MS = 3 * ALERTS_MS
const MINUTE_MS = 60_000
const HOLD_MS: Record<string, number> = { unreachable: 5 * MINUTE_MS }
const QUEUE_MS = 15 * MINUTE_MS
/** If nothing was dispatched from a repository's queue for this long, the relay sends an alert. */
export const STALLED_MS = 5 * MINUTE_MS
const NOT_STARTED_MS = 60 * MINUTE_MS
/** If a freeze without an end is older than this, the relay sends an alert. */
const FREEZE_MS = 24 * 60 * MINUTE_MS
const MOST_LISTED = 200
/** The maximum number of alerts of a type. An outage of GitHub affects every repository. */
const MOST_ALIKE = 10

/**
 * Sends alerts to RELAY_ALERT_URL when a problem starts and when it's resolved, at most one alert per minute. If several
 * relays share a database, only the relay with the lease sends alerts. While the database is unavailable, each relay
 * sends alerts about its own access to the database.
 * @returns a function that checks for problems once. The caller calls it every {@link ALERTS_MS}.
 */
export function createAlerts(
  deps: Pick<RouteDeps, 'store' | 'checkDatabase'> & {
    config: Pick<Config, 'alert' | 'publicUrl'>
    scope: string
    sides: Pick<Sides, 'problems' | 'isUsed' | 'isKnown' | 'check'>
    refusals: Pick<Refusals, 'recent'>
    throttled: Pick<ThrottledLog, 'warn'>
  },
): () => Promise<void> {
  const { store, scope, sides, refusals, checkDatabase, throttled } = deps
  const { alert, publicUrl } = deps.config
  const holder = randomUUID()
  let own: AlertState = { problems: [], sentAt: 0 }

  return async () => {
    if (!alert) return
    const { stored, present } = await read()
    const now = store.clock()
    const problems = update([...own.problems, ...(stored?.problems ?? [])], present, now)
    const sentAt = Math.max(own.sentAt, stored?.sentAt ?? 0)
    const changes = now - sentAt >= MINUTE_MS ? changesIn(problems, now) : null
    /** @returns false if another relay has taken the lease */
    const save = async (problems: KnownProblem[]) => {
      own = { problems: problems.filter(isOwn), sentAt: changes ? now : sentAt }
      const state = { ...own, problems: problems.filter(each => !isOwn(each)) }
      const isSaved = !stored || JSON.stringify(state) === JSON.stringify(stored)
      return isSaved || (await store.saveAlerts(holder, state))
    }
    // The state is saved before sending, so that a retry after a failure uses the same alert id.
    if (!(await save(problems)) || !changes) return
    try {
      await sendAlert(alert, publicUrl, changes, Date.now())
    } catch (error) {
      throttled.warn({ reason: (error as Error).message }, "an alert couldn't be sent")
      return
    }
    const isStarted = (each: KnownProblem) => each.isSent || changes.started.includes(each)
    const left = problems.filter(each => !changes.resolved.includes(each))
    await save(left.map(each => ({ ...each, isSent: isStarted(each) })))
  }

  /** `stored`: null if the database is unavailable or another relay has the lease. */
  async function read(): Promise<{ stored: AlertState | null; present: Problem[] }> {
    const { ok, detail } = await checkDatabase()
    if (!ok) return { stored: null, present: [unavailable(detail)] }
    try {
      const stored = await store.claimAlerts(holder, store.clock(), LEASE_MS)
      const present = stored ? [...(await readSides()), ...(await readDatabase(stored.problems))] : []
      return { stored, present }
    } catch (error) {
      throttled.warn({ err: error, work: 'alerts' }, 'database unavailable; retrying')
      return { stored: null, present: [unavailable()] }
    }
  }

  async function readSides(): Promise<Problem[]> {
    if (SIDES.some(side => sides.isUsed(side) && !sides.isKnown(side))) await sides.check()
    const recent = refusals.recent()
    const text = describeRefused(recent, store.clock()).join(' ')
    const refused = { type: 'webhooks_refused', side: null, key: '', text }
    const ofSides = sides
      .problems()
      .map(each => ({ ...each, text: `${plainText(each.text)} ${each.advice}`.trim() }))
    return recent.count > 3 ? [...ofSides, refused] : ofSides
  }

  async function readDatabase(known: readonly KnownProblem[]): Promise<Problem[]> {
    const now = store.clock()
    const [{ dueSince, frozen }, stalled, notStarted, freezes, { queued }, waiting] = await Promise.all([
      store.backlog(now),
      store.stalled(now - STALLED_MS, MOST_ALIKE, scope),
      store.list({ outcome: 'not_started' }, { limit: MOST_LISTED }),
      store.freezes(),
      store.counts(),
      store.withoutRunner(now),
    ])
    // An outage of GitHub and a rejected credential have their own alerts, so the relay sends no alerts about queues.
    const ofGitHub = sides.problems().filter(({ side }) => side === 'github')
    const isDown = ofGitHub.some(({ type }) => type === 'unreachable')
    const since = dueSince.dispatch ?? now
    const oldest = `The oldest of ${amount(queued - frozen)} in the queue has waited since ${new Date(since).toISOString()}.`
    const queueOld = { type: 'queue_old', side: null, key: '', text: oldest, since }
    const recent = notStarted.filter(({ updatedAt }) => now - updatedAt < NOT_STARTED_MS)
    const newest = Map.groupBy(recent, ({ repository }) => repository)
    return [
      ...(now - since > QUEUE_MS && ofGitHub.length === 0 ? [queueOld] : []),
      ...(isDown ? [] : stalled).map(each => ({
        ...{ type: 'queue_stalled', side: null, key: each.repository },
        ...{ text: describeStalled(each), since: each.stalledSince },
      })),
      ...describeWithoutRunner(waiting)
        .slice(0, MOST_ALIKE)
        .map(each => ({ type: 'no_runner', side: null, ...each })),
      ...freezes
        .filter(({ ending, endsAt, since }) => !ending && endsAt === null && now - since > FREEZE_MS)
        .map(({ id, repositories, reason, since }) => ({
          ...{ type: 'freeze_old', side: null, key: String(id), since },
          text: `${repositories} has been frozen since ${new Date(since).toISOString()} (${reason}), without an end.`,
        })),
      // If the list is full, known problems stay, because the list may omit their repositories.
      ...known.filter(({ type }) => type === 'workflow_not_started' && recent.length === MOST_LISTED),
      ...[...newest].map(([key, [last, ...others]]) => ({
        ...{ type: 'workflow_not_started', side: null, key },
        text: `${amount(others.length + 1)} to ${key} started no workflow. The last one: ${last?.reason ?? 'No reason is known.'} (${last?.action ?? 'no action'}, delivery ${last?.id})`,
      })),
    ]
  }
}

/** Whether every relay sends alerts about the problem, because no relay can get the lease without a database. */
const isOwn = ({ type }: Pick<Problem, 'type'>) => type === 'database_unavailable'

const unavailable = (text = 'The database (RELAY_DATABASE) failed.'): Problem => ({
  ...{ type: 'database_unavailable', side: null, key: '', text },
})

function update(known: readonly KnownProblem[], present: readonly Problem[], now: number): KnownProblem[] {
  const identity = ({ type, side, key }: Problem) => JSON.stringify([type, side, key])
  const rest = new Map(present.map(each => [identity(each), each]))
  const updated = known.map(each => {
    const again = rest.get(identity(each))
    rest.delete(identity(each))
    // After an alert about the problem, the problem keeps the text of the alert.
    const text = each.isSent ? each.text : (again?.text ?? each.text)
    return { ...each, text, resolvedAt: again ? null : (each.resolvedAt ?? now) }
  })
  const started = [...rest.values()].map(({ type, side, key, text, since = now }) => ({
    ...{ type, side, key, text, since, isSent: false, resolvedAt: null },
  }))
  return [...updated.filter(({ isSent, resolvedAt }) => isSent || resolvedAt === null), ...started]
}

function changesIn(problems: KnownProblem[], now: number) {
  const started = problems.filter(({ type, since, isSent }) => !isSent && now - since >= (HOLD_MS[type] ?? 0))
  const resolved = problems.filter(({ resolvedAt }) => resolvedAt !== null && now - resolvedAt >= ALERTS_MS)
  return started.length + resolved.length > 0 ? { started, resolved } : null
}
