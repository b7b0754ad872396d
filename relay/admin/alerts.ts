import { randomUUID } from 'node:crypto'
import type { Config } from '../config/config.ts'
import type { ThrottledLog } from '../log.ts'
import type { AlertState, KnownProblem, StoredAlerts } from '../store/alert-state.ts'
import type { Store } from '../store/store.ts'
import { sendAlert } from './send-alert.ts'
import { plainText, SIDES, type Sides } from './sides.ts'

/** A current problem. `since`: set if the start time is known. */
type Problem = Pick<KnownProblem, 'type' | 'side' | 'text'> & { since?: number }

export const ALERTS_MS = 10_000
/** If the relay that sends alerts doesn't renew its lease for this long, another relay takes over. */
const LEASE_MS = 3 * ALERTS_MS
const MINUTE_MS = 60_000
/** How long a problem must last before an alert is sent. */
const HOLD_MS: Record<string, number> = { unreachable: 5 * MINUTE_MS }
const QUEUE_MS = 15 * MINUTE_MS
/** How long a workflow that didn't start counts as a problem. */
const NOT_STARTED_MS = 60 * MINUTE_MS
const MOST_LISTED = 50

export interface AlertsDeps {
  config: Pick<Config, 'alert' | 'publicUrl'>
  store: Pick<Store, 'clock' | 'claimAlerts' | 'saveAlerts' | 'backlog' | 'list'>
  sides: Pick<Sides, 'problems' | 'isUsed' | 'isKnown' | 'check'>
  checkDatabase: () => Promise<{ ok: boolean; detail?: string }>
  throttled: Pick<ThrottledLog, 'warn'>
}

/**
 * Sends alerts to RELAY_ALERT_URL when a problem starts and when it's resolved, at most one alert per minute. If
 * several relays share a database, only the relay with the lease sends alerts. While the database is unavailable, that
 * relay continues with its state in memory.
 *
 * @returns a function that checks once, to be called every {@link ALERTS_MS}
 */
export function createAlerts(deps: AlertsDeps): () => Promise<void> {
  const { config, store, sides, checkDatabase, throttled } = deps
  const { alert, publicUrl } = config
  const holder = randomUUID()
  /** The state that this relay stored last; null if another relay has the lease. Empty until the database responds. */
  let held: StoredAlerts | null = { version: 0, state: { problems: [], sentAt: 0 } }

  /** Renews the lease. */
  async function claim(): Promise<void> {
    const stored = await store.claimAlerts(holder, store.clock(), LEASE_MS)
    if (stored && held && stored.version !== held.version) {
      // Problems recorded while the database was unavailable must still be resolved.
      const others = held.state.problems.filter(each => !stored.state.problems.some(isSame(each)))
      stored.state.problems.push(...others)
    }
    if (stored?.version !== held?.version) held = stored
  }

  async function round(): Promise<void> {
    if (!alert) return
    if (SIDES.some(side => sides.isUsed(side) && !sides.isKnown(side))) await sides.check()
    const database = await checkDatabase()
    const read = database.ok ? await readDatabase().catch(() => null) : null
    if (read) await claim().catch(() => {})
    if (!held) return
    const failed = {
      ...{ type: 'database_unavailable', side: null },
      text: database.detail ?? 'The database (RELAY_DATABASE) failed.',
    }
    const present = [
      ...sides.problems().map(each => ({ ...each, text: plainText(each.text) })),
      ...(read ?? [failed]),
    ]
    const state = structuredClone(held.state)
    note(state, present, read !== null, store.clock())
    const changes = nextAlert(state, store.clock())
    if (changes) {
      state.sentAt = store.clock()
      try {
        await sendAlert(alert, publicUrl, changes, Date.now())
        for (const each of changes.started) each.isSent = true
        state.problems = state.problems.filter(({ resolvedAt }) => resolvedAt === null)
      } catch (error) {
        throttled.warn({ reason: (error as Error).message }, 'an alert could not be sent')
      }
    }
    const isChanged = JSON.stringify(state) !== JSON.stringify(held.state)
    held.state = state
    if (isChanged && read)
      held.version = (await store.saveAlerts(holder, state).catch(() => null)) ?? held.version
  }

  async function readDatabase(): Promise<Problem[]> {
    const now = store.clock()
    const [{ dueSince }, notStarted] = await Promise.all([
      store.backlog(now),
      store.list({ outcome: 'not_started' }, { limit: MOST_LISTED }),
    ])
    const problems: Problem[] = []
    const since = dueSince.dispatch ?? now
    if (now - since > QUEUE_MS) {
      const text = `The oldest queued delivery has waited since ${new Date(since).toISOString()}.`
      problems.push({ type: 'queue_old', side: null, text, since })
    }
    const recent = notStarted.filter(({ updatedAt }) => now - updatedAt < NOT_STARTED_MS)
    const [newest] = recent
    if (newest) {
      const amount = `${recent.length}${recent.length === MOST_LISTED ? ' or more' : ''}`
      const deliveries = recent.length === 1 ? 'delivery' : 'deliveries'
      const text = `In the last hour, ${amount} ${deliveries} started no workflow; the newest, ${newest.id}, is for ${newest.repository}.`
      problems.push({ type: 'workflow_not_started', side: null, text })
    }
    return problems
  }

  return round
}

const isSame =
  (a: Pick<Problem, 'type' | 'side'>) =>
  (b: Pick<Problem, 'type' | 'side'>): boolean =>
    a.type === b.type && a.side === b.side

/** These problems are unknown while the database is unavailable. */
const FROM_DATABASE = ['queue_old', 'workflow_not_started']

/** Updates the state with the current problems. */
function note(state: AlertState, present: readonly Problem[], isDatabaseRead: boolean, now: number): void {
  for (const known of state.problems) {
    const again = present.find(isSame(known))
    if (again) known.resolvedAt = null
    else if (isDatabaseRead || !FROM_DATABASE.includes(known.type)) known.resolvedAt ??= now
    // Keep the text of problems that an alert was sent for.
    if (again && !known.isSent) known.text = again.text
  }
  state.problems = state.problems.filter(({ isSent, resolvedAt }) => isSent || resolvedAt === null)
  for (const { type, side, text, since = now } of present) {
    if (!state.problems.some(isSame({ type, side })))
      state.problems.push({ type, side, text, since, isSent: false, resolvedAt: null })
  }
}

/** Returns the changes to send; null if there are none or the last alert was sent less than a minute ago. */
function nextAlert({ problems, sentAt }: AlertState, now: number) {
  const started = problems.filter(({ type, since, isSent }) => !isSent && now - since >= (HOLD_MS[type] ?? 0))
  const resolved = problems.filter(({ resolvedAt }) => resolvedAt !== null)
  const isDue = started.length + resolved.length > 0 && now - sentAt >= MINUTE_MS
  return isDue ? { started, resolved } : null
}
