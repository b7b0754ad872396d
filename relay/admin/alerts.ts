import { randomUUID } from 'node:crypto'
import type { Config } from '../config/config.ts'
import type { ThrottledLog } from '../log.ts'
import type { RouteDeps } from '../route-deps.ts'
import type { AlertState, KnownProblem } from '../store/store.ts'
import { FAILED, type HealthReader, MOST_NOT_STARTED } from './health.ts'
import { findProblems, kindOf, type Problem, textOf } from './problems.ts'
import { sendAlert } from './send-alert.ts'
import { SIDES, type Side, type Sides } from './sides.ts'

export const ALERTS_MS = 10_000
/** The duration of the lease. If the relay with the lease doesn't renew it, another relay sends the alerts. */
const LEASE_MS = 3 * ALERTS_MS
const MINUTE_MS = 60_000
/** The maximum number of alerts of a type. An outage of GitHub affects every repository. */
const MOST_ALIKE = 10

/**
 * Sends alerts to RELAY_ALERT_URL when a problem starts or is resolved, at most one alert per minute. If several relays
 * share a database, only the relay with the lease sends alerts. While the database is unavailable, each relay sends
 * alerts about its own access to the database.
 * @returns a function that checks for problems once. The caller calls it every {@link ALERTS_MS}.
 */
export function createAlerts(deps: {
  config: Pick<Config, 'alert' | 'publicUrl'>
  store: Pick<RouteDeps['store'], 'clock' | 'claimAlerts' | 'saveAlerts'>
  checkDatabase: RouteDeps['checkDatabase']
  sides: Pick<Sides, 'isUsed' | 'isKnown' | 'check'>
  health: Pick<HealthReader, 'inMemory' | 'read'>
  throttled: Pick<ThrottledLog, 'warn'>
}): () => Promise<void> {
  const { store, sides, health, checkDatabase, throttled } = deps
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
    // The state is saved before the alert is sent, so that a retry uses the same alert ID.
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
  async function read(): Promise<{ stored: AlertState | null; present: AnyProblem[] }> {
    const { ok, detail } = await checkDatabase()
    const claiming = ok ? store.claimAlerts(holder, store.clock(), LEASE_MS) : undefined
    const stored = await claiming?.catch(err => {
      throttled.warn({ err, work: 'alerts' }, 'database unavailable; retrying')
    })
    if (stored === null) return { stored, present: [] }
    if (stored && SIDES.some(side => sides.isUsed(side) && !sides.isKnown(side))) await sides.check()
    const now = stored ? await health.read(true) : { ...health.inMemory(), database: detail ?? FAILED }
    const found = findProblems(now, 'alert')
    if (!stored || now.database !== null) return { stored: null, present: found.filter(isOwn) }
    const alike = [...Map.groupBy(found, ({ type }) => type)]
    return {
      stored,
      present: [
        // If the list of deliveries is full, known problems stay, because their repositories may be missing from the list.
        ...(now.notStarted.length === MOST_NOT_STARTED ? stored.problems.filter(isNotStarted) : []),
        ...alike.flatMap(([, all]) => all.filter((each, i) => i < MOST_ALIKE || isNotStarted(each))),
      ],
    }
  }
}

type AnyProblem = Pick<Problem, 'key' | 'text' | 'advice' | 'since'> & { type: string; side?: Side | null }

const isNotStarted = ({ type }: AnyProblem) => type === 'workflow_not_started'
/** Whether every relay sends alerts about the problem: without a database, no relay can get the lease. */
const isOwn = ({ type }: AnyProblem) => type === 'database_unavailable'

function update(known: readonly KnownProblem[], present: readonly AnyProblem[], now: number): KnownProblem[] {
  const identity = ({ type, side = null, key = '' }: AnyProblem) => JSON.stringify([type, side, key])
  const rest = new Map(present.map(each => [identity(each), each]))
  const updated = known.map(each => {
    const again = rest.get(identity(each))
    rest.delete(identity(each))
    // A problem that was sent in an alert keeps the text of this alert.
    const text = each.isSent || !again ? each.text : textOf(again)
    return { ...each, text, resolvedAt: again ? null : (each.resolvedAt ?? now) }
  })
  const started = [...rest.values()].map(({ side = null, key = '', since = now, ...each }) => ({
    ...{ type: each.type, side, key, text: textOf(each), since, isSent: false, resolvedAt: null },
  }))
  return [...updated.filter(({ isSent, resolvedAt }) => isSent || resolvedAt === null), ...started]
}

function changesIn(problems: KnownProblem[], now: number) {
  const started = problems.filter(
    ({ type, since, isSent }) => !isSent && now - since >= (kindOf(type)?.after.alert ?? 0),
  )
  const resolved = problems.filter(({ resolvedAt }) => resolvedAt !== null && now - resolvedAt >= ALERTS_MS)
  return started.length + resolved.length > 0 ? { started, resolved } : null
}
