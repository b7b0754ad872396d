import { randomInt } from 'node:crypto'
import { LIMITS } from '../../config/limits.ts'
import type { Change, Delivery, DeliveryRun, HistoryEntry, Transition } from '../../delivery/delivery.ts'
import {
  type Backend,
  columnOf,
  type Dialect,
  type Row,
  rowsOf,
  type Statement,
  stateIs,
} from '../database.ts'
import { enqueue } from './outbox.ts'
import { type Condition, insertFor, type Parameter, padded, statement } from './statement.ts'

/** Identifies a report from the action, so that the relay applies the report only once. */
export interface ReportReceipt {
  sender: string
  /** The number of the report. The sender counts its reports from 1. A report is a repetition if its number isn't higher than the last recorded one. */
  number: number
  lines: number
  bytes: number
}

/** The store keeps the first FIRST_EVENTS and the last LAST_EVENTS history entries of a delivery. */
const FIRST_EVENTS = 50
const LAST_EVENTS = LIMITS.events - FIRST_EVENTS

/** A transition, and the version of the delivery from which the transition was computed. */
export interface Decided {
  delivery: Pick<Delivery, 'id' | 'version' | 'repository'>
  transition: Transition
  receipt?: ReportReceipt | undefined
  /** The version of the outbox's lease, if only the holder of the lease may apply the transition. */
  lease?: number | undefined
}
type Applied = Decided & { ids: string[]; changeId: number; now: number }

/** The number of the lock for changes of freezes. All other lock numbers are for workflow runs. */
export const FREEZES = 0

/** Returns the statements that lock all data on which the conditions of these changes depend. */
function lock({ lockNumber }: Dialect, all: readonly Decided[]): Statement[] {
  if (!lockNumber) return []
  const changes = all.map(each => each.transition.change)
  const runs = changes.flatMap(change => (change.runs ?? []).map(run => run.id))
  const numbers = new Set(changes.some(change => change.frozenBy) ? [FREEZES, ...runs] : runs)
  const row = 'SELECT 1 FROM deliveries WHERE id = ?1 FOR UPDATE'
  return [
    // Numbers are locked in a fixed order, so that transactions with the same runs don't deadlock.
    ...[...numbers].sort((a, b) => a - b).map(number => ({ sql: lockNumber, params: [number] })),
    // The row is locked before the check for a repeated report, because an UPDATE that waited for the row would see old
    // data in its subqueries.
    ...all.flatMap(({ delivery, receipt }) => (receipt ? [{ sql: row, params: [delivery.id] }] : [])),
  ]
}

/** The condition of all statements after the first: the first statement has updated the deliveries and set this mark. */
const markOf =
  (ids: readonly string[], changeId: number): Condition =>
  parameter =>
    `id IN (${ids.map(parameter).join(', ')}) AND change_id = ${parameter(changeId)}`

/** Groups deliveries that have the same version and get the same changes, so that they share statements. */
function grouped(all: readonly Decided[], changeId: number, now: number): Applied[] {
  const groups = Map.groupBy(all, ({ delivery, transition, receipt, lease }, i) =>
    all.length === 1 || receipt || lease || transition.requeue || transition.change.runs
      ? i
      : JSON.stringify([delivery.version, transition]),
  )
  return [...groups.values()].map(group => ({
    ...group[0]!,
    ...{ ids: padded(group.map(({ delivery }) => delivery.id)), changeId, now },
  }))
}

/**
 * Returns the statements that apply a transition. The first UPDATE applies to rows that still have the version of the
 * transition, and marks them. The later statements apply to marked rows.
 */
function statementsOf(sql: Dialect, applied: Applied): Statement[] {
  const { delivery, ids, changeId, transition, now, receipt } = applied
  const { change, messages, history, requeue } = transition
  const marked = markOf(ids, changeId)
  // The outbox worker locks the tables in the same order.
  const queued = requeue ? ['outboxes', 'outbox', 'report_senders'] : []
  return [
    statement(parameter => update(sql, applied, parameter)),
    ...(change.runs ? ['runs', ...queued] : queued).map(table => deleteFrom(table, delivery.id, marked)),
    ...(change.runs ?? []).map(run =>
      insertFor(marked, 'runs', columnsOf(run), { repository: 'repository' }),
    ),
    ...(history ? addEvent(applied, marked, history) : []),
    ...enqueue(marked, messages, now),
    ...(receipt
      ? [insertFor(marked, 'report_senders', { sender: receipt.sender, last: receipt.number }, {}, LATER)]
      : []),
  ]
}

function update(sql: Dialect, applied: Applied, parameter: Parameter): string {
  const { delivery, ids, changeId, transition, now, receipt, lease } = applied
  const { change, history, requeue, traceAt } = transition
  const set = [`change_id = ${parameter(changeId)}`]
  const fields = Object.entries(change)
  if (fields.length > 0) {
    set.push('version = version + 1', 'lease_until = 0', `updated_at = ${parameter(now)}`)
  }
  for (const [field, value] of fields) {
    if (field === 'runs') continue
    set.push(`${columnOf(field)} = ${parameter(toColumn(value))}`)
  }
  if (requeue) set.push(`seq = ${sql.nextSeq}`, 'report_lines = 0', 'report_bytes = 0')
  if (history) set.push('events = events + 1')
  if (traceAt !== undefined) set.push(`trace_due_at = ${parameter(traceAt)}`)
  for (const of of receipt ? (['lines', 'bytes'] as const) : [])
    set.push(`report_${of} = report_${of} + ${parameter(receipt![of])}`)
  const where = [`id IN (${ids.map(parameter).join(', ')})`, `version = ${parameter(delivery.version)}`]
  const runs = change.runs?.map(run => run.id) ?? []
  if (runs.length > 0) {
    where.push(`NOT EXISTS (SELECT 1 FROM runs
      WHERE repository = ${parameter(delivery.repository)} AND delivery <> id
        AND github_run_id IN (${runs.map(parameter).join(', ')}))`)
  }
  if (change.frozenBy) {
    // If the freeze ended in the meantime, nothing would release the delivery.
    where.push(`EXISTS (SELECT 1 FROM freezes WHERE seq = ${parameter(change.frozenBy)} AND ending = '')`)
  }
  if (lease !== undefined)
    where.push(`EXISTS (SELECT 1 FROM outboxes WHERE delivery = id AND version = ${parameter(lease)})`)
  if (receipt) {
    where.push(`NOT EXISTS (SELECT 1 FROM report_senders WHERE delivery = id AND sender = ${parameter(receipt.sender)}
      AND last >= ${parameter(receipt.number)})`)
  }
  return `UPDATE deliveries SET ${set.join(', ')} WHERE ${where.join(' AND ')} RETURNING id`
}

function toColumn(value: Change[keyof Change]): string | number | null {
  if (typeof value === 'boolean') return Number(value)
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : (value ?? null)
}

const LATER = 'ON CONFLICT (delivery, sender) DO UPDATE SET last = excluded.last'

/** Deletes rows of one delivery. */
const deleteFrom = (table: string, id: string, marked: Condition) =>
  statement(
    parameter => `DELETE FROM ${table}
      WHERE delivery = ${parameter(id)} AND EXISTS (SELECT 1 FROM deliveries WHERE ${marked(parameter)})`,
  )

const columnsOf = ({ id, attempt, evidence, past, status, conclusion, url, ...run }: DeliveryRun) => ({
  ...{ github_run_id: id, attempt, evidence, past: Number(past), status, conclusion, url },
  reports_conclusion: Number(run.reportsConclusion ?? false),
})

/** Adds a history entry. If the history is then too long, deletes an entry in its middle. */
function addEvent({ ids, now }: Applied, marked: Condition, { type, details }: HistoryEntry): Statement[] {
  const values = { at: now, type, details: JSON.stringify(details) }
  return [
    insertFor(marked, 'events', values, { number: 'events' }),
    statement(
      parameter => `DELETE FROM events WHERE delivery IN (${ids.map(parameter).join(', ')}) AND number > ${FIRST_EVENTS}
        AND number = (SELECT events - ${LAST_EVENTS} FROM deliveries WHERE id = events.delivery)`,
    ),
  ]
}

function workOf({ change, messages, requeue }: Transition) {
  const steps = change.state !== undefined || change.dueAt || requeue
  return [
    ...(steps ? (['dispatch', 'watch'] as const) : []),
    ...(messages.length > 0 ? (['outbox'] as const) : []),
  ]
}

export function applying(db: Backend, notify: (...work: ReturnType<typeof workOf>) => void) {
  return {
    /**
     * Applies each transition if the delivery still has the version from which the transition was computed. A repeated
     * report (`receipt`) writes nothing. If no field of a delivery changes, its version stays the same.
     * @returns false for another version, a run of another delivery, a freeze that has ended, or a lost lease
     */
    async apply(all: readonly Decided[], now: number): Promise<boolean[]> {
      if (all.length === 0) return []
      const changeId = randomInt(2 ** 47)
      const locks = lock(db.dialect, all)
      const parts = grouped(all, changeId, now).map(each => statementsOf(db.dialect, each))
      let applied: Row[]
      try {
        const rows = (await db.run([...locks, ...parts.flat()])).slice(locks.length)
        // The rows of each part's first statement.
        applied = parts.flatMap(({ length }) => rows.splice(0, length)[0] ?? [])
      } catch (error) {
        // If the response was lost, the transaction may have been committed.
        const marked = markOf(padded(all.map(({ delivery }) => delivery.id)), changeId)
        const read = statement(parameter => `SELECT id FROM deliveries WHERE ${marked(parameter)}`)
        applied = (await db.run([read]).catch(() => [])).flat()
        if (applied.length === 0) throw error
      }
      const ids = new Set(applied.map(({ id }) => id))
      const isApplied = all.map(({ delivery }) => ids.has(delivery.id))
      notify(...new Set(all.flatMap(({ transition }, i) => (isApplied[i] ? workOf(transition) : []))))
      return isApplied
    },
    /** Makes an open delivery due now. Increments the version, so a worker that has already claimed the delivery must decide again. */
    async wake(id: string, now: number): Promise<void> {
      const sql = `UPDATE deliveries SET due_at = ?2, version = version + 1, lease_until = 0
                   WHERE id = ?1 AND ${stateIs("'dispatched'", "'running'")} RETURNING id`
      if ((await rowsOf(db, sql, id, now)).length > 0) notify('watch')
    },
    /** Returns how many lines and bytes the delivery's reports have used since the delivery was queued. Also returns the number of the sender's last report. */
    async reportUsage(id: string, sender: string) {
      const sql = `
        SELECT report_lines AS lines, report_bytes AS bytes,
          coalesce((SELECT last FROM report_senders WHERE delivery = ?1 AND sender = ?2), 0) AS "lastNumber"
        FROM deliveries WHERE id = ?1`
      const [usage] = await rowsOf<Record<'lines' | 'bytes' | 'lastNumber', number>>(db, sql, id, sender)
      return usage ?? { lines: 0, bytes: 0, lastNumber: 0 }
    },
  }
}
